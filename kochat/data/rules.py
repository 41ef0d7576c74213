"""The names of all cleaning rules, in the order in which they are applied, with one line on each.

An `edit` mends a text, a `drop` looks at one record, a `cross` rule at a record beside others (the test set, earlier rows).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["edit", "drop", "cross"]


class Rule(NamedTuple):
    """What a rule is: its kind, whether it is on unless a config says otherwise, and what it does in one line."""

    kind: Kind
    default: bool
    description: str


RULES: dict[str, Rule] = {
    "unicode": Rule("edit", True, "bring text to NFC, keep ㅋㅋ and ㅠㅠ, take out zero-width and control characters"),
    "whitespace": Rule("edit", True, "single blanks inside lines, none at their ends, at most one empty line"),
    "residue": Rule("edit", True, "cut a serialised record's tail or a `token: 12` off the end"),
    "stray_quotes": Rule("edit", True, "take off quotes around the whole text or alone at one end of it"),
    "empty": Rule("drop", True, "a prompt, an answer (of a preference record: the best one) or a text without text"),
    "too_short": Rule("drop", True, "shorter than min_prompt, min_completion or min_text characters"),
    "too_long": Rule("drop", True, "longer than max_prompt, max_completion or max_text characters"),
    "equal_completions": Rule("drop", True, "a preference record that ranks the same text in two places"),
    "fixed_prompt": Rule("cross", True, "the prompt is, or nearly is, a fixed prompt of the report"),
    "held_out": Rule("cross", True, "the prompt belongs to the test split or to the test set"),
    "near_test": Rule("cross", True, "the prompt nearly is a test prompt"),
    "exact_duplicate": Rule("cross", True, "the same texts stood in an earlier row; prompts compare by their keys"),
    "near_duplicate": Rule(
        "cross", True, "an earlier row has the same words but for fillers, particles and punctuation"
    ),
    "conflict": Rule("cross", False, "an earlier row answers the same prompt otherwise; the first answer stays"),
}

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
    "markup": Rule("edit", True, "take out HTML tags and entities, where the text is not about markup or code"),
    "special_tokens": Rule("edit", True, "take out tokenizers' special tokens, where the text is not about them"),
    "whitespace": Rule("edit", True, "single blanks inside lines, none at their ends, at most one empty line"),
    "residue": Rule("edit", True, "cut a serialised record's tail or a `token: 12` off the end"),
    "stray_quotes": Rule("edit", True, "take off quotes around the whole text or alone at one end of it"),
    "empty": Rule("drop", True, "a prompt, an answer (of a preference record: the best one) or a text without text"),
    "too_short": Rule("drop", True, "shorter than min_prompt, min_completion or min_text characters"),
    "too_long": Rule("drop", True, "longer than max_prompt, max_completion or max_text characters"),
    "noise": Rule("drop", True, "wrongly decoded bytes, syllables that no word has, keys struck at random"),
    "non_korean": Rule("drop", True, "foreign prose where nobody asked for it; names, titles, code and formulas stay"),
    "repetition": Rule("drop", True, "a loop: the same words five times and more, or one sentence over and over"),
    "placeholder": Rule("drop", True, "what an anonymiser left in place of a name or number: #이름#, name1, OOO님"),
    "cut_off": Rule("drop", True, "an answer that breaks off in mid-sentence, where that is certain"),
    "equal_completions": Rule("drop", True, "a preference record that ranks the same text in two places"),
    "length_only": Rule(
        "drop", True, "a preference record whose better completion only repeats the sentences of a worse one"
    ),
    "fixed_prompt": Rule("cross", True, "the prompt is, or nearly is, a fixed prompt of the report"),
    "held_out": Rule("cross", True, "the prompt belongs to the test split or to the test set"),
    "near_test": Rule("cross", True, "the prompt nearly is a test prompt"),
    "exact_duplicate": Rule("cross", True, "the same texts stood in an earlier row; prompts compare by their keys"),
    "near_duplicate": Rule(
        "cross", True, "an earlier row has the same words but for fillers, particles and punctuation"
    ),
    "conflict": Rule("cross", False, "an earlier row answers the same prompt otherwise; the first answer stays"),
}

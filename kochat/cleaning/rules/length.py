"""Bounds on length: `empty`, `too_short` and `too_long` are in one file because they share their bounds.

The defaults come from counts over KoChatGPT-shaped data (12,627 SFT rows, 12,000 PPO prompts). A tenth of the prompts have fewer than
10 characters, such as 심심해, so only texts of one character are dropped (4 prompts, 4 completions). 0.8% of the prompts have over 500
characters and 2% of the completions over 1,000. KoGPT2 needs one token for 2.5 characters (1.8 in the densest 1% of the rows), so a row
within both bounds fits its 1,024 positions. Corpus texts are packed into blocks and need no upper bound.
"""

from __future__ import annotations

from kochat.cleaning.rule_kinds import Bounds, Dirt, LengthRule, Threshold, Thresholds, Words

TOO_LONG = "too_long"
MAX_TOKENS = "max_tokens"  # of a whole row; needs a tokenizer


def bounds(field: str, thresholds: Thresholds) -> Bounds:
    """Return the bounds of a "prompt", a "completion" or a "text", in characters after the edits."""
    return Bounds(thresholds[f"min_{field}"], thresholds[f"max_{field}"])


def no_text(text: str, within: Bounds) -> str | None:
    """Return why an empty text is dropped, or None if it has text or may be empty."""
    return "no text" if not text and within.shortest > 0 else None


def under_bound(text: str, within: Bounds) -> str | None:
    """Return why a text that is not empty is too short, or None."""
    return f"{len(text)} characters, fewer than {within.shortest}" if 0 < len(text) < within.shortest else None


def over_bound(text: str, within: Bounds) -> str | None:
    """Return why a text is too long, or None."""
    if within.longest is None or len(text) <= within.longest:
        return None
    return f"{len(text)} characters, more than {within.longest}"


def over_token_bound(tokens: int, thresholds: Thresholds) -> str | None:
    """Return why a row of `tokens` tokens is too long, or None."""
    most = thresholds[MAX_TOKENS]
    return None if most is None or tokens <= most else f"{tokens} tokens, more than {most}"


RULES = (
    LengthRule(
        name="empty",
        order=210,
        does="an empty prompt, answer (in a preference record: the best one) or corpus text",
        words=Words("빈 글", "empty"),
        problem=no_text,
    ),
    LengthRule(
        name="too_short",
        order=220,
        does="shorter than min_prompt, min_completion or min_text characters",
        words=Words("너무 짧음", "too short"),
        problem=under_bound,
        planted=(Dirt("too_short"),),
    ),
    LengthRule(
        name=TOO_LONG,
        order=230,
        does="longer than max_prompt, max_completion or max_text characters",
        words=Words("너무 긺", "too long"),
        problem=over_bound,
        thresholds=(
            Threshold("min_prompt", 2, "count"),
            Threshold("max_prompt", 500, "bound"),
            Threshold("min_completion", 2, "count"),
            Threshold("max_completion", 1000, "bound"),
            Threshold("min_text", 2, "count"),
            Threshold("max_text", None, "bound"),
            Threshold(MAX_TOKENS, None, "bound"),
        ),
        planted=(Dirt("too_long"),),
    ),
)

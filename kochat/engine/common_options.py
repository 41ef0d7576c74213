"""Options that several stages have."""

from __future__ import annotations

from dataclasses import dataclass

from kochat.option_fields import Options, count, share, weight


@dataclass(kw_only=True)
class AnswerOptions(Options):
    """How long answers may be, and what ends them.

    Args:
        max_new_tokens: length limit of answers, in tokens.
        stop_tokens: tokens besides EOS that end an answer, spelt as in the tokenizer's vocabulary; null takes those of
            the model that the stage starts from, if it is an export of kochat.
    """

    max_new_tokens: int = count(128, "leaves no answer; give 1 or more")
    stop_tokens: list[str] | None = None


@dataclass(kw_only=True)
class AdamWOptions(Options):
    """AdamW with linear warm-up and cosine decay.

    Args:
        learning_rate: AdamW's peak rate.
        weight_decay: decoupled weight decay.
        warmup: share of the run, 0 to 1, during which the rate rises.
    """

    learning_rate: float = weight(5e-5)
    weight_decay: float = weight(0.0)
    warmup: float = share(0.03)

"""The results of a reward model's steps: records and labelled pairs with the scores of their answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class ScoredBatch:
    """Records with the scores of their completions, best to worst.

    Args:
        ids: one per record.
        prompts: one per record.
        completions: three per record.
        scores: (n, 3) raw scores.
        others: an answer to another prompt for each record, None for a record without one; empty if no record has one.
        other_scores: (n,) raw scores of `others` after the records' own prompts; NaN for a record without one.
    """

    ids: list[str]
    prompts: list[str]
    completions: list[list[str]]
    scores: Tensor
    others: list[str | None] = field(default_factory=list)
    other_scores: Tensor = field(default_factory=lambda: torch.zeros(0))


@dataclass
class ScoredPairs:
    """Labelled pairs with the scores of their answers.

    Args:
        ids: one per pair.
        prompts: one per pair.
        answers: (better, worse), one per pair.
        kinds: one per pair.
        scores: (n, 2) raw scores of the better and the worse answer.
    """

    ids: list[str]
    prompts: list[str]
    answers: list[tuple[str, str]]
    kinds: list[str]
    scores: Tensor

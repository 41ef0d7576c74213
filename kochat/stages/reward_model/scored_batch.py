"""The result of a reward model's steps: records with the scores of their completions."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class ScoredBatch:
    """Records with the scores of their completions, best to worst.

    Args:
        ids: one per record.
        prompts: one per record.
        completions: three per record.
        scores: (n, 3) raw scores.
    """

    ids: list[str]
    prompts: list[str]
    completions: list[list[str]]
    scores: Tensor

"""What a reward model's steps return: records with the scores of their completions."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class ScoredBatch:
    """Records with the scores of their completions, best to worst.

    Args:
        ids: one a record.
        prompts: one a record.
        completions: three a record.
        scores: (n, 3) raw scores.
    """

    ids: list[str]
    prompts: list[str]
    completions: list[list[str]]
    scores: Tensor

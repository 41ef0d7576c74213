"""The mean score of demonstrations, by which a reward model is centred."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kochat.metrics.row_metric import RowMetric


class DemonstrationScores(RowMetric):
    """Mean reward of demonstrations, each counted once."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(width=1, dtype=torch.float32, **kwargs)

    def update(self, ids: list[str], scores: Tensor) -> None:
        """Add the scores of demonstrations, shape: (n, 1); an id that was added before counts once."""
        self.append_rows(ids, scores)

    def row_scores(self, statistics: Tensor) -> list[float]:
        """Return each row's score."""
        return statistics[:, 0].tolist()

    def compute(self) -> Tensor:
        """Return the mean, NaN where there is none."""
        return self.unique_rows()[1].mean().to(self.device)

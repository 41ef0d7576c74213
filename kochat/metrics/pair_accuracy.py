"""How well a reward model's scores order the three completions of a prompt."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kochat.metrics.pairs import GRADES, record_accuracy
from kochat.metrics.row_metric import RowMetric

__all__ = ["GRADES", "PairAccuracy"]


class PairAccuracy(RowMetric):
    """Share of ordered pairs that the scores put in the right order, and the mean score of each grade.

    Of each row three pairs are counted: best over middle, best over worst, middle over worst. A tie counts half, so
    that a constant score reaches 0.5, like chance.
    """

    higher_is_better = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(width=3, dtype=torch.float32, **kwargs)

    def update(self, ids: list[str], scores: Tensor) -> None:
        """Add rows; an id that was added before, here or on another rank, counts once.

        Args:
            ids: One per record.
            scores: Reward of the best, middle and worst completion, shape: (n, 3).
        """
        self.append_rows(ids, scores)

    def row_scores(self, statistics: Tensor) -> list[float]:
        """Compute each row's share of right pairs, 0 to 1: (n, 3) -> n scores."""
        return record_accuracy(statistics.numpy()).tolist()

    def scores(self) -> dict[str, list[float]]:
        """Return {id: [best, middle, worst]} of this rank's examples."""
        ids, statistics = self.unique_rows()
        return dict(zip(ids, statistics.tolist(), strict=True))

    def compute(self) -> dict[str, Tensor]:
        """Average over rows: ``accuracy`` (0 to 1), ``margin`` (best - worst) and ``score_best``, ``_middle``, ``_worst``.

        NaN where there is no example.
        """
        _, statistics = self.unique_rows()
        mean = statistics.mean(0).to(self.device)
        accuracy = torch.tensor(self.row_scores(statistics), device=self.device).mean()
        by_grade = {f"score_{grade}": score for grade, score in zip(GRADES, mean, strict=True)}
        return {"accuracy": accuracy, "margin": mean[0] - mean[2], **by_grade}

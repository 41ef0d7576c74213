"""Compare a reward model's predicted preference with the observed one: the calibration curve (Guo et al. 2017).

Under the Bradley-Terry model that the ranking loss fits, answer a is preferred to answer b with probability
sigmoid(score a - score b). Here a is the answer with the higher *score*, whatever its grade. So the prediction is
between 0.5 and 1, and the observation is how often a is the better answer. If a were always the better answer, the
observation would be 1 in every pair. Counting each pair in the other order too would only mirror the curve about (0.5,
0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from kochat.metrics.intervals import wilson_bounds
from kochat.metrics.pairs import pair_credits, pair_margins

NUM_BINS = 5  # of width 0.1 between 0.5 and 1: the usual ten bins over 0 to 1, folded at their middle


@dataclass(frozen=True)
class CalibrationBin:
    """Pairs whose predicted preference lies in one bin."""

    low: float
    high: float
    predicted: float  # mean predicted preference, 0.5 to 1
    observed: float  # share of pairs whose preferred answer is the better one, 0 to 1
    n_pairs: int
    n_records: int

    @property
    def interval(self) -> tuple[float, float]:
        """The Wilson 95% interval of `observed`, with records as the number of trials.

        Pairs of one record are not independent, so the number of records is the safe count. For a bin of three right
        pairs a bootstrap would give the interval (1, 1); Wilson (1927) gives (0.44, 1).
        """
        return wilson_bounds(self.observed, self.n_records)


@dataclass(frozen=True)
class Calibration:
    """A calibration curve: the bins with at least one pair, in order."""

    bins: list[CalibrationBin]

    @property
    def error(self) -> float | None:
        """Expected calibration error: mean over pairs of |predicted - observed| of their bin, 0 to 1; None for no pair.

        Errors inside one bin may cancel. With few pairs a bin deviates by chance, so the error is never exactly 0.
        """
        return self._mean_over_pairs([abs(gap) for gap in self._gaps()])

    @property
    def overconfidence(self) -> float | None:
        """Mean predicted preference minus observed: above 0 the model is overconfident; None without pairs."""
        return self._mean_over_pairs(self._gaps())

    def _gaps(self) -> list[float]:
        return [bin_.predicted - bin_.observed for bin_ in self.bins]

    def _mean_over_pairs(self, by_bin: list[float]) -> float | None:
        return float(np.average(by_bin, weights=[bin_.n_pairs for bin_ in self.bins])) if self.bins else None


def calibration(scores: object, num_bins: int = NUM_BINS) -> Calibration:
    """Compute the calibration curve over all pairs of records.

    Args:
        scores: score of the best, middle and worst answer, shape: (n, 3).
        num_bins: bins of equal width between 0.5 and 1; a bin includes its lower edge, the last bin also its upper edge.
    """
    margins = pair_margins(scores)
    predicted = expit(np.abs(margins))
    right = pair_credits(margins)
    edges = np.linspace(0.5, 1, num_bins + 1)
    index = np.clip(np.digitize(predicted, edges) - 1, 0, num_bins - 1)
    bins = []
    for number in range(num_bins):
        inside = index == number
        if inside.any():
            low, high = float(edges[number]), float(edges[number + 1])
            means = float(predicted[inside].mean()), float(right[inside].mean())
            bins.append(CalibrationBin(low, high, *means, int(inside.sum()), int(inside.any(axis=1).sum())))
    return Calibration(bins)

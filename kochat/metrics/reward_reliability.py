"""Measure a reward model on held-out records; the callback and the report use the same result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kochat.metrics.calibration_curve import Calibration, calibration
from kochat.metrics.intervals import Interval
from kochat.metrics.length_effects import LengthBias, length_bias
from kochat.metrics.pairs import as_records, pair_accuracy, pair_margins

SCALARS = (
    "accuracy_low",
    "accuracy_high",
    "calibration_error",
    "overconfidence",
    "length_correlation",
    "length_correlation_overall",
    "accuracy_shorter_better",
    "accuracy_longer_better",
    "pairs_shorter_better",
    "pairs_longer_better",
)  # the logged names that `RewardQuality.scalars` may contain


@dataclass(frozen=True)
class RewardQuality:
    """A reward model on held-out records of three answers each; a figure is None if it cannot be measured."""

    accuracy: Interval | None
    margins: np.ndarray  # score of the better minus score of the worse, (n, 3): as in `pairs.PAIRS`
    calibration: Calibration
    length: LengthBias | None  # None where the lengths are not known

    def scalars(self) -> dict[str, float]:
        """Return the figures by their names in `SCALARS`, without those that could not be measured."""
        found: dict[str, float | None] = {
            "calibration_error": self.calibration.error,
            "overconfidence": self.calibration.overconfidence,
        }
        if self.accuracy is not None:
            found |= {"accuracy_low": self.accuracy.low, "accuracy_high": self.accuracy.high}
        if self.length is not None and len(self.margins):
            found |= _length_scalars(self.length)
        return {name: float(value) for name in SCALARS if (value := found.get(name)) is not None}


def reward_quality(
    scores: Sequence[Sequence[float]] | np.ndarray, lengths: Sequence[Sequence[int]] | np.ndarray | None
) -> RewardQuality:
    """Measure how well scores order answers, how well they are calibrated, and how much they depend on length.

    Args:
        scores: score of the best, middle and worst answer of each record, finite, shape: (n, 3).
        lengths: their lengths (`length_effects.answer_length`), shape: (n, 3); None where the texts are not known.

    Raises:
        ValueError: The shapes are wrong.
    """
    array = as_records(scores)
    return RewardQuality(
        accuracy=pair_accuracy(array),
        margins=pair_margins(array),
        calibration=calibration(array),
        length=None if lengths is None else length_bias(array, lengths),
    )


def _length_scalars(bias: LengthBias) -> dict[str, float | None]:
    return {
        "length_correlation": _value(bias.within),
        "length_correlation_overall": bias.overall,
        "accuracy_shorter_better": _value(bias.shorter_better),
        "accuracy_longer_better": _value(bias.longer_better),
        "pairs_shorter_better": bias.n_shorter,
        "pairs_longer_better": bias.n_longer,
    }


def _value(interval: Interval | None) -> float | None:
    return None if interval is None else interval.value

"""The numbers of one reward model: how well it tells better answers from worse ones, and how far that can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kochat.metrics.intervals import Interval
from kochat.metrics.length_effects import answer_length
from kochat.metrics.pair_accuracy import GRADES
from kochat.metrics.pairs import pair_credits
from kochat.metrics.reward_reliability import RewardQuality, reward_quality
from kochat.report.study_files import ExportStatistics, RankedScores


@dataclass(frozen=True)
class RewardRecord:
    """One reward model on held-out records."""

    means: Mapping[str, float]  # mean raw score by grade: best, middle, worst
    centred: (
        Mapping[str, float] | None
    )  # the same less the export's mean, over its standard deviation; None without those
    margin: float  # mean score of best minus mean score of worst
    effect: float | None  # margin over the standard deviation of all scores: free of the scores' scale
    accuracy: Interval  # share of ordered pairs scored in the right order; the interval resamples records
    accuracy_by_id: Mapping[str, float]
    quality: RewardQuality

    @property
    def n_pairs(self) -> int:
        """The number of ordered pairs."""
        return self.quality.margins.size


def reward_record(ranked: Sequence[RankedScores], statistics: ExportStatistics | None = None) -> RewardRecord:
    """Compute a reward model's record from its scores (best to worst) of held-out records; a tie counts half.

    Args:
        ranked: the records; lengths are measured where every one has its texts.
        statistics: by what the model's scores are centred, None where that was not kept.

    Raises:
        ValueError: There are no records.
    """
    scores = np.array([row.scores for row in ranked])
    texts_known = all(row.completions for row in ranked)
    lengths = [[answer_length(text) for text in row.completions] for row in ranked] if texts_known else None
    quality = reward_quality(scores, lengths)
    if quality.accuracy is None:
        raise ValueError("no scored records to judge the reward model by")
    means = dict(zip(GRADES, scores.mean(0).tolist(), strict=True))
    margin = means["best"] - means["worst"]
    spread = float(scores.std())
    right = pair_credits(quality.margins).mean(1).tolist()
    return RewardRecord(
        means=means,
        centred={grade: statistics.centre(mean) for grade, mean in means.items()} if statistics else None,
        margin=margin,
        effect=margin / spread if spread > 0 else None,
        accuracy=quality.accuracy,
        accuracy_by_id={row.id: share for row, share in zip(ranked, right, strict=True)},
        quality=quality,
    )

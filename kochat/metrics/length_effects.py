"""Does a reward model score answers, or their length? Correlation of score with length, and accuracy by which is longer.

A score that follows length between prompts does little harm: a policy cannot choose its prompt. Within a prompt it teaches the
policy to write longer (Singhal et al. 2023), so the correlation within records is the one to watch. Better answers may well be
longer, and then a good score follows length too. Whether it does more than that shows in the pairs whose better answer is shorter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from kochat.metrics.intervals import Interval, mean_interval, share_interval
from kochat.metrics.pairs import as_records, pair_credits, pair_margins


def answer_length(text: str) -> int:
    """Count the characters of an answer without whitespace.

    Characters need no tokenizer, so that figures of models with different ones compare; Korean is spaced freely.
    """
    return len("".join(text.split()))


def rank_correlation(x: object, y: object) -> float:
    """Return Spearman's rank correlation of two samples (n,), ties sharing their mean rank; NaN where one is constant.

    Ranks, as lengths are skewed (one very long answer would decide Pearson's) and a score's scale is free.
    """
    samples = [np.asarray(sample, dtype=np.float64) for sample in (x, y)]
    if any(sample.size == 0 or (sample == sample[0]).all() for sample in samples):
        return math.nan  # scipy says the same, with a warning
    return float(spearmanr(*samples).statistic)


@dataclass(frozen=True)
class LengthBias:
    """What the length of an answer has to do with its score; a figure is None where nothing decides it."""

    within: Interval | None  # mean over records of the rank correlation among their three answers, -1 to 1
    overall: float | None  # rank correlation over all answers of all records, -1 to 1
    shorter_better: Interval | None  # pair accuracy where the better answer is the shorter one
    longer_better: Interval | None  # and where it is the longer one
    n_shorter: int  # pairs of these two kinds
    n_longer: int
    n_equal: int  # pairs of equal length, in neither

    @property
    def longer_wins(self) -> float | None:
        """Pair accuracy of choosing the longer answer unread: what a score that only measured length would reach."""
        decided = self.n_shorter + self.n_longer
        return self.n_longer / decided if decided else None


def length_bias(scores: object, lengths: object) -> LengthBias:
    """Compute how scores go with lengths.

    Args:
        scores: score of the best, middle and worst answer, shape: (n, 3).
        lengths: their lengths (`answer_length`), shape: (n, 3).

    Raises:
        ValueError: There are not as many lengths as scores.
    """
    score, length = as_records(scores), as_records(lengths)
    if score.shape != length.shape:
        raise ValueError(f"{len(score)} records of scores need as many of lengths, not {len(length)}")
    by_record = [rank_correlation(*record) for record in zip(score, length, strict=True)]
    overall = rank_correlation(score.ravel(), length.ravel())
    credits, longer_by = pair_credits(pair_margins(score)), pair_margins(length)
    shorter, longer = longer_by < 0, longer_by > 0
    return LengthBias(
        within=mean_interval([value for value in by_record if not math.isnan(value)]),
        overall=None if math.isnan(overall) else overall,
        shorter_better=share_interval((credits * shorter).sum(1), shorter.sum(1)),
        longer_better=share_interval((credits * longer).sum(1), longer.sum(1)),
        n_shorter=int(shorter.sum()),
        n_longer=int(longer.sum()),
        n_equal=int((longer_by == 0).sum()),
    )

"""Measure how much a reward model's score depends on length: correlation, and accuracy by which answer is longer.

A correlation of score and length between prompts does little harm: a policy cannot choose its prompt. A correlation
within a prompt teaches the policy to write longer (Singhal et al. 2023), so watch the correlation within records. If
better answers are longer, a good score correlates with length too. The pairs whose better answer is shorter show
whether the score prefers length itself.
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

    Characters need no tokenizer, so models with different tokenizers can be compared. Whitespace is left out because Korean spacing varies.
    """
    return len("".join(text.split()))


def rank_correlation(x: object, y: object) -> float:
    """Return Spearman's rank correlation of two samples (n,), -1 to 1; ties get their mean rank; NaN if a sample is constant.

    Ranks are used because lengths are skewed (one very long answer would dominate Pearson's) and scores have no fixed scale.
    """
    samples = [np.asarray(sample, dtype=np.float64) for sample in (x, y)]
    if any(sample.size == 0 or (sample == sample[0]).all() for sample in samples):
        return math.nan  # scipy returns the same, with a warning
    return float(spearmanr(*samples).statistic)


@dataclass(frozen=True)
class LengthBias:
    """The relation between length and score; a figure is None if it cannot be computed."""

    within: Interval | None  # mean over records of the rank correlation among their three answers, -1 to 1
    overall: float | None  # rank correlation over all answers of all records, -1 to 1
    shorter_better: Interval | None  # pair accuracy where the better answer is the shorter one
    longer_better: Interval | None  # pair accuracy where the better answer is the longer one
    n_shorter: int  # pairs of these two kinds
    n_longer: int
    n_equal: int  # pairs of equal length, in neither

    @property
    def longer_wins(self) -> float | None:
        """Pair accuracy of always choosing the longer answer, that is, of a score that only measures length."""
        decided = self.n_shorter + self.n_longer
        return self.n_longer / decided if decided else None


def length_bias(scores: object, lengths: object) -> LengthBias:
    """Compute the relation between scores and lengths.

    Args:
        scores: score of the best, middle and worst answer, shape: (n, 3).
        lengths: their lengths (`answer_length`), shape: (n, 3).

    Raises:
        ValueError: The numbers of lengths and scores differ.
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

"""The three ordered pairs of a record of ranked answers: score differences and pair accuracy."""

from __future__ import annotations

import numpy as np

from kochat.metrics.intervals import Interval, share_interval

GRADES = ("best", "middle", "worst")
PAIRS = ((0, 1), (0, 2), (1, 2))  # (better, worse) among best, middle, worst
BETTER, WORSE = (list(side) for side in zip(*PAIRS, strict=True))


def as_records(values: object) -> np.ndarray:
    """Return figures of ranked answers as a float64 array (n, 3); (0, 3) without records.

    Raises:
        ValueError: A record does not have three figures.
    """
    array = np.asarray(values, dtype=np.float64)
    array = array.reshape(-1, 3) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(f"ranked answers come as three a record, shape (n, 3), not {array.shape}")
    return array


def pair_margins(scores: object) -> np.ndarray:
    """Return score of the better minus score of the worse, by pair: scores (n, 3), best to worst -> (n, 3) as in `PAIRS`."""
    array = as_records(scores)
    return array[:, BETTER] - array[:, WORSE]


def pair_credits(margins: np.ndarray) -> np.ndarray:
    """Return 1 for a pair in the right order, 0 for one in the wrong order and 0.5 for a tie: same shape as `margins`.

    So a constant score has an accuracy of 0.5, like chance.
    """
    return 0.5 + 0.5 * np.sign(margins)


def pair_accuracy(scores: object) -> Interval | None:
    """Return the share of pairs in the right order with its 95% bootstrap interval; None for no record.

    The bootstrap draws records: pairs of one record share answers, so they are not independent.

    Args:
        scores: score of the best, middle and worst answer, shape: (n, 3).
    """
    shares = record_accuracy(scores)
    return share_interval(shares, np.ones(len(shares)))


def record_accuracy(scores: object) -> np.ndarray:
    """Return each record's share of pairs in the right order, a tie counting half, 0 to 1: scores (n, 3) -> (n,).

    Every pair accuracy in kochat comes from here: the metric, its interval, and the report's figure of each record.
    """
    return pair_credits(pair_margins(scores)).mean(axis=1)

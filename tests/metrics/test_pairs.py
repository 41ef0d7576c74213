"""Margins and pair accuracy of ranked answers, by hand."""

import pytest
import torch

from kochat.metrics.intervals import Interval
from kochat.metrics.pair_accuracy import PairAccuracy
from kochat.metrics.pairs import pair_accuracy, pair_credits, pair_margins, record_accuracy

# All three pairs right; best under middle, best level with worst, middle over worst.
SCORES = [[3.0, 1.0, 0.0], [1.0, 2.0, 1.0]]


def test_margins_are_better_minus_worse():
    # best - middle, best - worst, middle - worst
    assert pair_margins(SCORES).tolist() == [[2.0, 3.0, 1.0], [-1.0, 0.0, 1.0]]


def test_a_tie_is_half_right():
    assert pair_credits(pair_margins(SCORES)).tolist() == [[1.0, 1.0, 1.0], [0.0, 0.5, 1.0]]


def test_accuracy_draws_records_and_not_pairs():
    # Records stand at 1 and 0.5: a draw of two is 1, 0.75 or 0.5, each in more than 2.5% of draws.
    assert pair_accuracy(SCORES) == Interval(0.75, 0.5, 1.0, 2)
    # Ten records all right and ten all wrong: sqrt(0.25 / 20) * 1.96 = 0.22; sixty loose pairs would give 0.13.
    interval = pair_accuracy([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]] * 10)
    assert interval.value == 0.5
    assert interval.low == pytest.approx(0.28, abs=0.03)
    assert interval.high == pytest.approx(0.72, abs=0.03)


def test_it_is_the_accuracy_that_is_logged():
    metric = PairAccuracy()
    metric.update(["a", "b"], torch.tensor(SCORES))
    assert metric.compute()["accuracy"].item() == pair_accuracy(SCORES).value
    assert list(metric.rows().values()) == record_accuracy(SCORES).tolist() == [1.0, 0.5]


def test_one_record_none_and_a_constant():
    assert pair_accuracy(SCORES[:1]) == Interval(1.0, 1.0, 1.0, 1)
    assert pair_accuracy([]) is None
    assert pair_margins([]).shape == (0, 3)
    assert pair_accuracy([[0.0] * 3] * 4) == Interval(0.5, 0.5, 0.5, 4)


@pytest.mark.parametrize("scores", [[[1.0, 2.0]], [1.0, 2.0, 3.0]])
def test_other_shapes_are_refused(scores):
    with pytest.raises(ValueError, match=r"shape \(n, 3\), not"):
        pair_margins(scores)

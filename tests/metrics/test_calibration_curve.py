"""The calibration curve, by hand: sigmoid(log 3) = 0.75, sigmoid(log 9) = 0.9."""

import math

import pytest
from scipy.stats import binomtest

from kochat.metrics.calibration_curve import CalibrationBin, calibration

LOG3, LOG9 = math.log(3), math.log(9)


def figures(curve):
    return [(bin_.low, bin_.high, bin_.predicted, bin_.observed, bin_.n_pairs, bin_.n_records) for bin_ in curve.bins]


def test_hand_worked():
    # a: margins log 3, log 9, log 3: 0.75, 0.9, 0.75, all right. b: -log 3, 0, log 3: 0.75 wrong, 0.5 half, 0.75 right.
    curve = calibration([[LOG9, LOG3, 0.0], [0.0, LOG3, 0.0]], num_bins=2)
    # 0.5 stands alone in the lower bin; four of 0.75 (three right) and one of 0.9 (right) share the upper one.
    expected = [(0.5, 0.75, 0.5, 0.5, 1, 1), (0.75, 1.0, 0.78, 0.8, 5, 2)]
    assert figures(curve) == [pytest.approx(row) for row in expected]
    assert curve.error == pytest.approx(5 / 6 * 0.02)
    assert curve.overconfidence == pytest.approx(-5 / 6 * 0.02)


def test_which_answer_is_better_does_not_choose_the_prediction():
    right, wrong = calibration([[LOG9, LOG3, 0.0]]), calibration([[0.0, LOG3, LOG9]])
    assert [bin_.predicted for bin_ in right.bins] == [bin_.predicted for bin_ in wrong.bins]
    assert [bin_.observed for bin_ in right.bins] == [1.0, 1.0]
    assert [bin_.observed for bin_ in wrong.bins] == [0.0, 0.0]


def test_a_calibrated_score_has_no_error():
    # Of four pairs at 0.75 three are right: best over worst by log 3, the middle far off and always right.
    rows = [[LOG3, -1000.0, 0.0], [LOG3, -1000.0, 0.0], [LOG3, -1000.0, 0.0], [0.0, -1000.0, LOG3]]
    curve = calibration(rows)
    near = next(bin_ for bin_ in curve.bins if bin_.low == pytest.approx(0.7))
    assert (near.predicted, near.observed, near.n_pairs) == (pytest.approx(0.75), 0.75, 4)


def test_scaling_the_scores_makes_it_too_sure():
    rows = [[LOG3, 0.0, 0.0]] * 3 + [[0.0, LOG3, LOG3]]  # 0.75 right three times of four, and ties
    assert calibration(rows).error == pytest.approx(0.0)
    surer = calibration([[10 * score for score in row] for row in rows])
    # two thirds of the pairs now stand at 1 / (1 + 3**-10), 3 of 4 of them right
    gap = 1 / (1 + 3**-10) - 0.75
    assert surer.overconfidence == pytest.approx(2 / 3 * gap)
    assert surer.error == pytest.approx(2 / 3 * gap)


def test_gaps_on_either_side_add_up_in_the_error_and_cancel_in_the_overconfidence():
    # at 0.75: right (0.25 too modest); at about 1: wrong (1 too sure)
    curve = calibration([[LOG3, 0.0, 1000.0]])
    # margins log 3 (right), log 3 - 1000 (wrong), -1000 (wrong)
    assert curve.error == pytest.approx((0.25 + 1 + 1) / 3)
    assert curve.overconfidence == pytest.approx((-0.25 + 1 + 1) / 3)


def test_a_constant_one_record_and_none():
    assert figures(calibration([[0.0, 0.0, 0.0]])) == [(0.5, 0.6, 0.5, 0.5, 3, 1)]
    assert calibration([[0.0, 0.0, 0.0]]).error == 0.0
    assert figures(calibration([[2000.0, 0.0, -2000.0]])) == [(0.9, 1.0, 1.0, 1.0, 3, 1)]
    empty = calibration([])
    assert (empty.bins, empty.error, empty.overconfidence) == ([], None, None)


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [(1.0, 3, 0.438, 1.0), (0.5, 10, 0.237, 0.763), (0.0, 1, 0.0, 0.793)],  # Wilson's, as tables give it
)
def test_a_bins_interval_is_wilsons_over_records(share, n, low, high):
    bin_ = CalibrationBin(0.5, 0.6, 0.55, share, n_pairs=3 * n, n_records=n)
    assert bin_.interval == pytest.approx((low, high), abs=0.001)
    scipys = binomtest(round(share * n), n).proportion_ci(
        0.95, method="wilson"
    )  # of whole hits, which a bin need not have
    assert bin_.interval == pytest.approx(tuple(scipys), abs=1e-12)

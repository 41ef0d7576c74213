"""What is measured of a reward model, put together."""

import math

import pytest

from kochat.metrics.reward_reliability import SCALARS, reward_quality

LOG3 = math.log(3)


def test_every_scalar_by_hand():
    # a: margins log 3, log 9, log 3, all right. b: the same the other way round, all wrong.
    scores = [[2 * LOG3, LOG3, 0.0], [0.0, LOG3, 2 * LOG3]]
    quality = reward_quality(scores, [[3, 2, 1], [1, 2, 4]])
    assert quality.margins.tolist() == [
        pytest.approx([LOG3, 2 * LOG3, LOG3]),
        pytest.approx([-LOG3, -2 * LOG3, -LOG3]),
    ]
    # Records stand at 1 and 0. Four pairs at 0.75 and two at 0.9, half of each right: gaps 0.25 and 0.4, all too sure.
    assert quality.scalars() == pytest.approx(
        {
            "accuracy_low": 0.0,
            "accuracy_high": 1.0,
            "calibration_error": 0.3,
            "overconfidence": 0.3,
            "length_correlation": 1.0,  # the longer scores higher in both
            # lengths 3 2 1 1 2 4 have ranks 5 3.5 1.5 1.5 3.5 6; scores 5.5 3.5 1.5 1.5 3.5 5.5
            "length_correlation_overall": 16 / math.sqrt(16.5 * 16),
            "accuracy_shorter_better": 0.0,
            "accuracy_longer_better": 1.0,
            "pairs_shorter_better": 3.0,
            "pairs_longer_better": 3.0,
        }
    )
    assert list(quality.scalars()) == list(SCALARS)


def test_what_cannot_be_measured_is_absent():
    assert reward_quality([], []).scalars() == {}
    assert list(reward_quality([[2.0, 1.0, 0.0]], None).scalars()) == list(SCALARS[:4])
    # A constant score, answers of one length: no correlation, and no pair on either side of the length.
    assert reward_quality([[1.0, 1.0, 1.0]], [[4, 4, 4]]).scalars() == {
        "accuracy_low": 0.5,
        "accuracy_high": 0.5,
        "calibration_error": 0.0,
        "overconfidence": 0.0,
        "pairs_shorter_better": 0.0,
        "pairs_longer_better": 0.0,
    }

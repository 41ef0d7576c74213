import numpy as np
import pytest

from kochat.metrics.intervals import Interval, bootstrap_weights, mean_interval, paired_interval, share_interval


def test_equal_values_leave_nothing_uncertain():
    assert mean_interval([0.25] * 10) == Interval(0.25, 0.25, 0.25, 10)


def test_the_interval_of_a_share_is_the_normal_one_where_that_holds():
    # p = 0.5, n = 400: 1.96 * sqrt(0.25 / 400) = 0.049
    interval = mean_interval([0.0, 1.0] * 200)
    assert interval.value == 0.5
    assert interval.low == pytest.approx(0.451, abs=0.006)
    assert interval.high == pytest.approx(0.549, abs=0.006)


def test_no_values_no_interval():
    assert mean_interval([]) is None
    assert paired_interval({"a": 1.0}, {"b": 1.0}) is None


def test_pairing_uses_shared_prompts_and_removes_what_they_share():
    ours = {"a": 1.1, "b": 5.1, "c": 9.1, "only ours": 100.0}
    theirs = {"c": 9.0, "b": 5.0, "a": 1.0, "only theirs": -100.0}
    interval = paired_interval(ours, theirs)
    assert interval.n == 3
    assert (interval.low, interval.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert interval.excludes_zero


def test_an_interval_that_touches_zero_does_not_exclude_it():
    assert not Interval(0.1, 0.0, 0.2, 5).excludes_zero
    assert not Interval(0.1, -0.1, 0.2, 5).excludes_zero
    assert Interval(-0.1, -0.2, -0.01, 5).excludes_zero


def test_every_draw_has_as_many_prompts_as_the_set():
    weights = bootstrap_weights(7)
    assert weights.shape == (2000, 7)
    assert np.array_equal(weights.sum(1), np.full(2000, 7))
    assert np.array_equal(weights, bootstrap_weights(7))


def test_a_share_weighs_prompts_by_what_they_count():
    # 1 of 1 and 1 of 3: 2 / 4. Draws hold the first twice (1), the second twice (1/3), or both (1/2).
    interval = share_interval([1, 1], [1, 3])
    assert interval == Interval(0.5, pytest.approx(1 / 3), 1.0, 2)


def test_a_share_of_equal_counts_is_the_mean():
    hits = [0, 3, 1, 2, 2, 3]
    share, mean = share_interval(hits, [3] * 6), mean_interval([hit / 3 for hit in hits])
    assert (share.value, share.low, share.high) == pytest.approx((mean.value, mean.low, mean.high))


def test_draws_without_a_count_are_left_out():
    # Among the draws of ten, a third hold only prompts that count nothing.
    assert share_interval([1] + [0] * 9, [1] + [0] * 9) == Interval(1.0, 1.0, 1.0, 1)


def test_nothing_counted_is_no_share():
    assert share_interval([], []) is None
    assert share_interval([0, 0], [0, 0]) is None


@pytest.mark.parametrize("trials", range(1, 400))
def test_the_wilson_interval_holds_the_share_itself(trials):
    from kochat.metrics.intervals import wilson_bounds

    for share in (0.0, 1 / trials, 1.0):
        low, high = wilson_bounds(share, trials)
        assert 0 <= low <= share <= high <= 1

"""Accuracy on pairs of answers, with Wilson's interval."""

import pytest
from scipy.stats import binomtest

from kochat.metrics.choices import choice_accuracy
from kochat.metrics.intervals import wilson_bounds


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (3, 3), (7, 20), (50, 100)])
def test_wilsons_bounds_are_scipys(hits, trials):
    expected = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    assert wilson_bounds(hits / trials, trials) == pytest.approx((expected.low, expected.high))


def test_a_tie_counts_half():
    found = choice_accuracy([1.0, 2.0, 0.0, 5.0], [0.0, 2.0, 1.0, 4.0])
    assert (found.value, found.n) == (2.5 / 4, 4)
    assert (found.low, found.high) == wilson_bounds(2.5 / 4, 4)


def test_pairs_of_one_prompt_are_one_trial():
    one, many = (choice_accuracy([1.0] * 4, [0.0] * 4, prompts) for prompts in (["a", "a", "b", "b"], None))
    assert (one.value, one.n, many.value, many.n) == (1.0, 4, 1.0, 4)
    assert one.low == wilson_bounds(1.0, 2)[0] < many.low


def test_no_pair_has_no_accuracy():
    assert choice_accuracy([], []) is None

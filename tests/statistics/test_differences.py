"""Comparisons of two models: clusters, corpus scores, permutations and Holm's correction."""

import numpy as np
import pytest

from kochat.statistics.differences import compare
from kochat.statistics.jackknife import cluster_sums, pseudo_values, ratio
from kochat.statistics.multiple_tests import holm
from kochat.statistics.permutation import permutation_p_value


def rows(values):
    return {str(number): np.array([value, 1.0]) for number, value in enumerate(values)}


def test_the_pseudo_values_of_a_mean_over_prompts_average_to_it():
    values = np.array([1.0, 2.0, 3.0, 10.0])
    sums = cluster_sums(np.stack([values, np.ones(4)], 1), "abcd")
    assert pseudo_values(sums, ratio) == pytest.approx(values)


def test_clusters_are_summed_in_the_order_in_which_they_appear():
    assert cluster_sums(np.array([[1.0], [2.0], [4.0]]), ["b", "a", "b"]).tolist() == [[5], [2]]


def test_a_difference_is_that_of_the_means_on_shared_prompts():
    found = compare([rows([1, 2, 3])], [rows([0, 1, 1, 9])], {}, ratio)
    assert found.value == pytest.approx(4 / 3)
    assert found.prompts == 3


def test_copies_of_a_prompt_in_one_cluster_make_no_difference_clearer():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(0.2, 1, 30), rng.normal(0, 1, 30)
    once = compare([rows(ours)], [rows(theirs)], {}, ratio)
    clusters = {str(number): number // 4 for number in range(120)}
    copied = compare([rows(np.repeat(ours, 4))], [rows(np.repeat(theirs, 4))], clusters, ratio)
    assert copied.estimate.bounds == pytest.approx(once.estimate.bounds)
    assert copied.permuted == pytest.approx(once.permuted)
    blind = compare([rows(np.repeat(ours, 4))], [rows(np.repeat(theirs, 4))], {}, ratio)
    assert blind.estimate.error < 0.6 * once.estimate.error


def test_seeds_that_disagree_widen_the_interval():
    rng = np.random.default_rng(0)
    theirs = [rows(rng.normal(0, 1, 200)) for _ in range(3)]
    agree = [rows(rng.normal(0.5, 1, 200)) for _ in range(3)]
    differ = [rows(rng.normal(mean, 1, 200)) for mean in (-0.5, 0.5, 1.5)]
    clear, unclear = (compare(ours, theirs, {}, ratio) for ours in (agree, differ))
    assert clear.p_value < 0.01
    assert unclear.permuted < 0.01  # these three models do differ
    assert unclear.p_value > 0.1  # but another seed may not


def test_one_cluster_says_nothing():
    assert compare([rows([1, 2])], [rows([0, 0])], {"0": "a", "1": "a"}, ratio) is None


def test_runs_of_other_seeds_are_refused():
    with pytest.raises(ValueError, match="the same seeds"):
        compare([rows([1, 2])], [rows([0, 0])] * 2, {}, ratio)


def test_a_permutation_test_of_four_clusters_has_the_exact_value():
    # All differences are 1: of 16 assignments only "none" and "all" are as extreme, 2 / 16.
    ours, theirs = np.ones((1, 4, 2)), np.stack([np.array([[0.0, 1.0]] * 4)])
    assert permutation_p_value(ours, theirs, ratio) == pytest.approx(2 / 16, abs=0.02)


def test_equal_models_have_a_p_value_of_one():
    sums = np.random.default_rng(0).random((2, 9, 2)) + 1
    assert permutation_p_value(sums, sums, ratio) == 1


def test_permutation_false_positives_with_a_ratio_of_sums():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(300):
        lengths = rng.integers(5, 30, (2, 60))
        hits = rng.binomial(lengths, 0.4)
        ours, theirs = (np.stack([hits[i], lengths[i]], 1)[None].astype(float) for i in range(2))
        found.append(permutation_p_value(ours, theirs, ratio) < 0.05)
    assert 0.02 <= np.mean(found) <= 0.08


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1, 1]
    assert holm([]) == []

"""The error of a mean over seeds and prompts, against numbers worked by hand, textbook formulas and simulation."""

import numpy as np
import pytest
from scipy import stats

from kochat.statistics.crossed import crossed_estimate


def test_one_seed_is_students_t_over_clusters():
    values = np.random.default_rng(0).normal(0.3, 1, (1, 40))
    estimate = crossed_estimate(values)
    expected = stats.ttest_1samp(values[0], 0)
    assert estimate.p_value == pytest.approx(expected.pvalue)
    assert estimate.bounds == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert estimate.freedom == pytest.approx(39)


def test_two_by_two_by_hand():
    # mean 3; seeds 2 and 4, clusters 2 and 4: mean squares 4, 4 and 0 -> variance (4 + 4) / 4, freedom 64 / 32
    estimate = crossed_estimate(np.array([[1.0, 3.0], [3.0, 5.0]]))
    assert (estimate.value, estimate.error, estimate.freedom) == pytest.approx((3, 2**0.5, 2))


def test_seeds_that_agree_more_than_chance_count_as_no_variance():
    # seeds have equal means: their mean square, 0, is below that of the rest
    estimate = crossed_estimate(np.array([[1.0, 3.0], [3.0, 1.0]]))
    assert estimate.error == 0
    assert estimate.value == 2


def test_equal_values_have_no_error():
    assert crossed_estimate(np.zeros((3, 5))).p_value == 1
    assert crossed_estimate(np.ones((3, 5))).p_value == 0


def drawn(rng, effect, *, seeds, clusters, seed_sd, cluster_sd, rest_sd):
    return (
        effect
        + rng.normal(0, seed_sd, (seeds, 1))
        + rng.normal(0, cluster_sd, (1, clusters))
        + rng.normal(0, rest_sd, (seeds, clusters))
    )


@pytest.mark.parametrize(
    ("seeds", "sizes"),
    [
        (3, {"seed_sd": 0.05, "cluster_sd": 0.4, "rest_sd": 0.4}),
        (3, {"seed_sd": 0.0, "cluster_sd": 0.4, "rest_sd": 0.4}),
        (3, {"seed_sd": 0.3, "cluster_sd": 0.1, "rest_sd": 0.4}),
        (1, {"seed_sd": 0.0, "cluster_sd": 0.4, "rest_sd": 0.4}),
    ],
)
def test_false_positives_stay_near_five_in_a_hundred(seeds, sizes):
    rng = np.random.default_rng(1)
    found = [crossed_estimate(drawn(rng, 0, seeds=seeds, clusters=100, **sizes)).p_value < 0.05 for _ in range(2000)]
    assert 0.03 <= np.mean(found) <= 0.07


def test_the_detectable_difference_is_found_four_times_in_five():
    rng = np.random.default_rng(2)
    sizes = {"seeds": 1, "clusters": 100, "seed_sd": 0, "cluster_sd": 0.4, "rest_sd": 0.4}
    effect = np.mean([crossed_estimate(drawn(rng, 0, **sizes)).detectable for _ in range(500)])
    found = [crossed_estimate(drawn(rng, effect, **sizes)).p_value < 0.05 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)

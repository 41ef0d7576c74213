import math
from itertools import combinations

import pytest
import torch

from kochat.functional import best_of_k_weights, best_of_kl, expected_best


def test_expected_best_hand_worked():
    """Of 1, 2, 4, 8: the six pairs have the maxima 2, 4, 8, 4, 8, 8, the four triples 4, 8, 8, 8."""
    scores = torch.tensor([4.0, 1.0, 8.0, 2.0])
    found = [float(expected_best(scores, k)) for k in (1, 2, 3, 4)]
    assert found == pytest.approx([15 / 4, 34 / 6, 28 / 4, 8])


def test_weights_hand_worked():
    assert best_of_k_weights(4, 2).tolist() == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6])
    assert best_of_k_weights(3, 1).tolist() == pytest.approx([1 / 3] * 3)
    assert best_of_k_weights(3, 3).tolist() == [0, 0, 1]


@pytest.mark.parametrize("k", range(1, 8))
def test_expected_best_is_the_mean_over_all_subsets(k):
    scores = torch.randn(5, 7, generator=torch.Generator().manual_seed(k))
    scores[0, :3] = scores[0, 3]  # ties
    expected = [sum(max(subset) for subset in combinations(row, k)) / math.comb(7, k) for row in scores.tolist()]
    assert expected_best(scores, k).tolist() == pytest.approx(expected)


def test_the_estimate_is_without_bias():
    """The best of two uniform numbers is 2/3 on average, however many samples it is estimated from."""
    scores = torch.rand(40_000, 6, generator=torch.Generator().manual_seed(0))
    assert float(expected_best(scores, 2).mean()) == pytest.approx(2 / 3, abs=0.003)


def test_many_samples_do_not_overflow():
    assert float(best_of_k_weights(2000, 1000).sum()) == pytest.approx(1)


def test_kl_hand_worked():
    assert best_of_kl(1) == 0
    assert best_of_kl(2) == pytest.approx(0.1931, abs=1e-4)
    assert best_of_kl(16) == pytest.approx(1.8351, abs=1e-4)


def test_kl_is_that_of_the_distribution_of_the_best():
    """Over many equally likely answers the best of k has density k u^(k-1) at quantile u: a sum gives its KL."""
    cells = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    for k in (2, 4, 16):
        best = cells[1:] ** k - cells[:-1] ** k
        kl = torch.xlogy(best, best * len(best)).sum()
        assert float(kl) == pytest.approx(best_of_kl(k), abs=1e-4)


def test_numbers_that_cannot_be_are_refused():
    for k in (0, 4):
        with pytest.raises(ValueError, match=f"k={k}: the best of k needs k from 1 to the number of samples, 3"):
            expected_best(torch.zeros(2, 3), k)
    with pytest.raises(ValueError, match="k=0: the best of k needs 1 sample or more"):
        best_of_kl(0)

"""Ridge regression in closed form, and the spread within groups, by hand."""

import pytest
import torch

from kochat.functional import ridge_weights, within_group_std


def test_ridge_by_hand():
    """Variances 2 and 4, mean 3: penalty 3 at strength 1, so the weights are 1 / (2 + 3) and 7 / (4 + 3)."""
    weights = ridge_weights(torch.diag(torch.tensor([2.0, 4.0])), torch.tensor([1.0, 7.0]), 1.0)
    torch.testing.assert_close(weights, torch.tensor([0.2, 1.0], dtype=torch.float64))


def test_ridge_finds_a_linear_function_and_does_not_depend_on_the_scale():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 6, generator=generator)
    x = x - x.mean(0)
    truth = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, -1.0])
    y = x @ truth
    weights = ridge_weights(x.T @ x / 500, x.T @ y / 500, 1e-6)
    torch.testing.assert_close(weights.float(), truth, atol=1e-4, rtol=0)
    scaled = ridge_weights(100 * x.T @ x / 500, 10 * x.T @ y / 500, 0.5)
    torch.testing.assert_close(10 * scaled, ridge_weights(x.T @ x / 500, x.T @ y / 500, 0.5), atol=1e-5, rtol=1e-5)


def test_states_that_do_not_vary_get_no_weight():
    assert ridge_weights(torch.zeros(3, 3), torch.zeros(3), 1.0).tolist() == [0.0, 0.0, 0.0]


def test_the_spread_within_groups_by_hand():
    """Unbiased variances 2 and 8, mean 5; the groups' means, 2 and 102, do not count."""
    assert within_group_std(torch.tensor([[1.0, 3.0], [100.0, 104.0]])).item() == pytest.approx(5**0.5)
    assert within_group_std(torch.tensor([[1.0, 3.0], [0.0, 4.0]])).item() == pytest.approx(5**0.5)

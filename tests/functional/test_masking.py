"""Hold masks, masked means and whitening to hand-worked arrays."""

import math

import pytest
import torch

from kochat.functional import (
    length_mask,
    masked_mean,
    masked_whiten,
    position_ids,
    span_mask,
    zero_masked,
)

NAN, INF = math.nan, math.inf


def test_length_mask_marks_the_first_slots():
    mask = length_mask(torch.tensor([0, 2, 3]), 3)
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[False, False, False], [True, True, False], [True, True, True]]


def test_span_mask_is_half_open():
    mask = span_mask(torch.tensor([0, 1, 2]), torch.tensor([2, 3, 2]), 4)
    assert mask.int().tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_position_ids_count_from_zero_after_left_pads():
    mask = torch.tensor([[False, False, True, True], [True, True, True, False]])
    assert position_ids(mask).tolist() == [[0, 0, 0, 1], [0, 1, 2, 2]]
    assert position_ids(mask).dtype == torch.long


def test_masked_mean_ignores_masked_slots_in_value_and_gradient():
    # (1 + 2 + 6) / 3 = 3; each counted slot has gradient 1/3.
    x = torch.tensor([[1.0, 2.0, NAN], [6.0, INF, -INF]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    mean = masked_mean(x, mask)
    mean.backward()
    assert mean.shape == ()
    assert mean.item() == 3.0
    torch.testing.assert_close(x.grad, torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]) / 3)


def test_masked_mean_of_nothing_is_zero():
    assert masked_mean(torch.full((2, 2), NAN), torch.zeros(2, 2, dtype=torch.bool)).item() == 0.0


def test_parts_with_the_global_count_add_up_where_a_mean_of_means_does_not():
    # Row 1 has 3 tokens of sum 6, row 2 one token of 10: 16 / 4 = 4, but the rows' means average to (2 + 10) / 2 = 6.
    x = torch.tensor([[1.0, 2.0, 3.0], [10.0, 0.0, 0.0]])
    mask = length_mask(torch.tensor([3, 1]), 3)
    parts = [masked_mean(x[i : i + 1], mask[i : i + 1], num_tokens=4) for i in range(2)]
    assert masked_mean(x, mask).item() == 4.0
    assert sum(parts).item() == 4.0
    assert (masked_mean(x[:1], mask[:1]) + masked_mean(x[1:], mask[1:])).item() / 2 == 6.0


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\) do not fit a mask of shape \(2, 1\)"):
        zero_masked(torch.zeros(2, 3), torch.ones(2, 1, dtype=torch.bool))


def test_whiten_hand_worked():
    # Counted: 1, 3, 5, 7: mean 4, variance (9 + 1 + 1 + 9) / 4 = 5, so (x - 4) / sqrt 5.
    x = torch.tensor([[1.0, 3.0, NAN], [5.0, 7.0, INF]])
    mask = length_mask(torch.tensor([2, 2]), 3)
    root = math.sqrt(5)
    expected = torch.tensor([[-3 / root, -1 / root, 0.0], [1 / root, 3 / root, 0.0]])
    torch.testing.assert_close(masked_whiten(x, mask), expected)
    unshifted = torch.where(mask, expected + 4, 0.0)
    torch.testing.assert_close(masked_whiten(x, mask, shift_mean=False), unshifted)


def test_whiten_gives_mean_zero_and_variance_one_under_the_mask():
    generator = torch.Generator().manual_seed(0)
    x = 5 + 3 * torch.randn(4, 7, generator=generator)
    mask = length_mask(torch.tensor([7, 1, 4, 0]), 7)
    whitened = masked_whiten(x, mask)[mask]
    assert whitened.mean().abs() < 1e-6
    assert abs(whitened.var(unbiased=False) - 1) < 1e-5


@pytest.mark.parametrize("count", [0, 1])
def test_whiten_of_at_most_one_token_is_zero(count):
    x = torch.tensor([[7.5, NAN]], requires_grad=True)
    whitened = masked_whiten(x, length_mask(torch.tensor([count]), 2))
    whitened.sum().backward()
    assert whitened.tolist() == [[0.0, 0.0]]
    assert torch.isfinite(x.grad).all()


def test_whiten_with_global_statistics_equals_whitening_the_whole():
    generator = torch.Generator().manual_seed(1)
    x, mask = torch.randn(4, 5, generator=generator), length_mask(torch.tensor([5, 2, 1, 4]), 5)
    count = mask.sum()
    halves = [(x[:2], mask[:2]), (x[2:], mask[2:])]
    mean = sum(masked_mean(h, m, num_tokens=count) for h, m in halves)
    variance = sum(masked_mean((h - mean) ** 2, m, num_tokens=count) for h, m in halves)
    parts = [masked_whiten(h, m, mean=mean, variance=variance) for h, m in halves]
    torch.testing.assert_close(torch.cat(parts), masked_whiten(x, mask))

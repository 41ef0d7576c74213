"""Hold the losses of the reward model and of PPO to hand-worked numbers."""

import math

import pytest
import torch

from kochat.functional import length_mask, pairwise_ranking_loss, ppo_policy_loss, value_loss

NAN, INF = math.nan, math.inf


def test_ranking_loss_hand_worked():
    # Differences log 3 and 0: -log sigmoid is log(4/3) and log 2.
    chosen, rejected = torch.tensor([math.log(3.0), 1.0]), torch.tensor([0.0, 1.0])
    expected = (math.log(4 / 3) + math.log(2)) / 2
    assert abs(pairwise_ranking_loss(chosen, rejected).item() - expected) < 1e-6


def test_ranking_loss_subtracts_the_margin():
    # Difference log 3 less a margin of log 3 is 0: log 2.
    loss = pairwise_ranking_loss(torch.tensor([math.log(3.0)]), torch.tensor([0.0]), margin=math.log(3.0))
    assert abs(loss.item() - math.log(2)) < 1e-6


def test_ranking_loss_knows_only_differences_and_stays_finite():
    chosen, rejected = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0])
    torch.testing.assert_close(
        pairwise_ranking_loss(chosen + 100, rejected + 100), pairwise_ranking_loss(chosen, rejected)
    )
    assert pairwise_ranking_loss(torch.tensor([-1e4]), torch.tensor([1e4])).item() == 2e4


def test_ranking_loss_of_parts_adds_up_and_refuses_to_broadcast():
    chosen, rejected = torch.tensor([2.0, -1.0, 0.3]), torch.tensor([0.5, 3.0, 0.1])
    parts = pairwise_ranking_loss(chosen[:1], rejected[:1], num_tokens=3)
    parts = parts + pairwise_ranking_loss(chosen[1:], rejected[1:], num_tokens=3)
    torch.testing.assert_close(parts, pairwise_ranking_loss(chosen, rejected))
    with pytest.raises(ValueError, match="must be alike"):
        pairwise_ranking_loss(chosen, rejected.unsqueeze(1))


# Ratios 1.5, 1.5, 0.5, 0.5, 1.1 with advantages 1, -1, 1, -1, 2, clip range 0.2, -A * ratio against -A * clipped:
#   1.5, A  1: max(-1.5, -1.2) = -1.2, the gain is capped          gradient to logprob 0
#   1.5, A -1: max( 1.5,  1.2) =  1.5, the harm is not             -A * ratio = 1.5
#   0.5, A  1: max(-0.5, -0.8) = -0.5                              -0.5
#   0.5, A -1: max( 0.5,  0.8) =  0.8                              0
#   1.1, A  2: -2.2, inside the range                              -2.2
# Sum -1.6, mean -0.32; four of five ratios are outside.
RATIOS = [[1.5, 1.5, 0.5, 0.5, 1.1, NAN, 1.0]]
ADVANTAGES = torch.tensor([[1.0, -1.0, 1.0, -1.0, 2.0, NAN, -INF]])
POLICY_MASK = length_mask(torch.tensor([5]), 7)


def test_policy_loss_hand_worked_with_garbage_in_masked_slots():
    old = torch.tensor([[-1.0, -2.0, -3.0, -4.0, -5.0, -INF, NAN]])
    logprobs = (old + torch.tensor(RATIOS).log()).requires_grad_()
    loss, clip_fraction = ppo_policy_loss(logprobs, old, ADVANTAGES, POLICY_MASK, 0.2)
    loss.backward()
    assert abs(loss.item() + 0.32) < 1e-6
    assert abs(clip_fraction.item() - 0.8) < 1e-6
    assert not clip_fraction.requires_grad
    expected = torch.tensor([[0.0, 1.5, -0.5, 0.0, -2.2, 0.0, 0.0]]) / 5
    torch.testing.assert_close(logprobs.grad, expected)


def test_policy_loss_at_ratio_one_is_vanilla_policy_gradient():
    # Ratio 1: the loss is -mean A = -1, nothing is clipped, and the gradient of a log-probability is -A / n.
    logprobs = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    mask = torch.ones(1, 2, dtype=torch.bool)
    loss, clip_fraction = ppo_policy_loss(logprobs, logprobs.detach(), torch.tensor([[3.0, -1.0]]), mask, 0.2)
    loss.backward()
    assert loss.item() == -1.0
    assert clip_fraction.item() == 0.0
    assert logprobs.grad.tolist() == [[-1.5, 0.5]]


def test_policy_loss_of_parts_adds_up_in_loss_and_gradient():
    generator = torch.Generator().manual_seed(0)
    logprobs = torch.randn(4, 6, generator=generator, requires_grad=True)
    old, advantages = torch.randn(4, 6, generator=generator), torch.randn(4, 6, generator=generator)
    mask = length_mask(torch.tensor([6, 1, 3, 2]), 6)
    whole = torch.stack(ppo_policy_loss(logprobs, old, advantages, mask, 0.2))
    (whole_grad,) = torch.autograd.grad(whole[0], logprobs)
    halves = [
        torch.stack(ppo_policy_loss(logprobs[s], old[s], advantages[s], mask[s], 0.2, num_tokens=12))
        for s in (slice(0, 2), slice(2, 4))
    ]
    (grad,) = torch.autograd.grad(halves[0][0] + halves[1][0], logprobs)
    torch.testing.assert_close(halves[0] + halves[1], whole)
    torch.testing.assert_close(grad, whole_grad)


def test_value_loss_hand_worked_with_garbage_in_masked_slots():
    # Clip range 0.5.
    #   V 2, old 1, R 3: V_clip 1.5; max(1, 2.25) = 2.25   clipped branch: gradient 0
    #   V 2, old 1, R 0: V_clip 1.5; max(4, 2.25) = 4      V - R = 2
    #   V 1, old 1, R 2: 1                                 -1
    # 0.5 * 7.25 / 3; two of three values left the range.
    values = torch.tensor([[2.0, 2.0, 1.0, NAN]], requires_grad=True)
    old_values = torch.tensor([[1.0, 1.0, 1.0, INF]])
    returns = torch.tensor([[3.0, 0.0, 2.0, NAN]])
    loss, clip_fraction = value_loss(values, old_values, returns, length_mask(torch.tensor([3]), 4), 0.5)
    loss.backward()
    assert abs(loss.item() - 0.5 * 7.25 / 3) < 1e-6
    assert abs(clip_fraction.item() - 2 / 3) < 1e-6
    torch.testing.assert_close(values.grad, torch.tensor([[0.0, 2.0, -1.0, 0.0]]) / 3)


def test_value_loss_without_clipping_is_half_the_squared_error():
    values, returns = torch.tensor([[5.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    loss, clip_fraction = value_loss(values, torch.zeros(1, 2), returns, torch.ones(1, 2, dtype=torch.bool), INF)
    assert loss.item() == 0.5 * (16 + 1) / 2
    assert clip_fraction.item() == 0.0


def test_value_loss_of_parts_adds_up():
    generator = torch.Generator().manual_seed(0)
    values, old, returns = torch.randn(3, 2, 5, generator=generator)
    mask = length_mask(torch.tensor([5, 1]), 5)
    parts = [
        torch.stack(value_loss(values[s], old[s], returns[s], mask[s], 0.2, num_tokens=6))
        for s in (slice(0, 1), slice(1, 2))
    ]
    torch.testing.assert_close(sum(parts), torch.stack(value_loss(values, old, returns, mask, 0.2)))

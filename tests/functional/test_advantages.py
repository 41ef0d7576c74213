"""Hold rewards, advantages and returns to hand-worked arrays and to the identities of GAE."""

import math

import torch

from kochat.functional import gae, length_mask, shaped_rewards

NAN = math.nan


def test_shaped_rewards_hand_worked():
    # kl_coef 0.5. Row 0 ends at slot 2 (-0.5 * 3 + 10 = 8.5), row 1 at slot 0 (-0.5 * 2 - 4 = -5); row 2 has no token.
    kl = torch.tensor([[1.0, -2.0, 3.0], [2.0, NAN, NAN], [NAN, NAN, NAN]])
    mask = length_mask(torch.tensor([3, 1, 0]), 3)
    rewards = shaped_rewards(torch.tensor([10.0, -4.0, NAN]), kl, mask, 0.5)
    assert rewards.tolist() == [[-0.5, 1.0, 8.5], [-5.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


def test_shaped_rewards_sum_to_the_score_less_the_penalty():
    generator = torch.Generator().manual_seed(0)
    kl, scores = torch.randn(3, 6, generator=generator), torch.tensor([1.5, -0.5, 0.0])
    mask = length_mask(torch.tensor([6, 1, 4]), 6)
    rewards = shaped_rewards(scores, kl, mask, 0.2)
    torch.testing.assert_close(rewards.sum(1), scores - 0.2 * torch.where(mask, kl, 0.0).sum(1))


def test_gae_hand_worked():
    # gamma 1/2, lambda 1/2 (trace 1/4), row 0 of three tokens:
    #   delta_2 = 4 - 2             =  2      A_2 = 2
    #   delta_1 = 0 + 1/2 * 2 - 4   = -3      A_1 = -3 + 2/4    = -2.5
    #   delta_0 = 1 + 1/2 * 4 - 1   =  2      A_0 = 2 - 2.5/4   = 1.375
    # row 1 of one token: delta_0 = 3 - 5 = -2. Returns are A + V.
    rewards = torch.tensor([[1.0, 0.0, 4.0], [3.0, NAN, math.inf]])
    values = torch.tensor([[1.0, 4.0, 2.0], [5.0, NAN, -math.inf]])
    advantages, returns = gae(rewards, values, length_mask(torch.tensor([3, 1]), 3), gamma=0.5, lam=0.5)
    assert advantages.tolist() == [[1.375, -2.5, 2.0], [-2.0, 0.0, 0.0]]
    assert returns.tolist() == [[2.375, 1.5, 4.0], [3.0, 0.0, 0.0]]


def test_lambda_one_undiscounted_returns_are_the_rewards_to_go():
    rewards, values = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.5, -7.0, 9.0]])
    advantages, returns = gae(rewards, values, torch.ones(1, 3, dtype=torch.bool), gamma=1.0, lam=1.0)
    torch.testing.assert_close(returns, torch.tensor([[6.0, 5.0, 3.0]]))
    torch.testing.assert_close(advantages + values, returns)


def test_lambda_zero_advantages_are_the_one_step_errors():
    # delta = r + 0.9 V' - V: 1 + 1.8 - 1 = 1.8, 0 + 2.7 - 2 = 0.7, 5 - 3 = 2.
    rewards, values = torch.tensor([[1.0, 0.0, 5.0]]), torch.tensor([[1.0, 2.0, 3.0]])
    advantages, _ = gae(rewards, values, torch.ones(1, 3, dtype=torch.bool), gamma=0.9, lam=0.0)
    torch.testing.assert_close(advantages, torch.tensor([[1.8, 0.7, 2.0]]))


def test_a_constant_critic_that_is_right_has_no_advantage_before_the_end():
    # Undiscounted, V = 2 everywhere and the only reward, 2, on the last token: every delta is 0.
    rewards = torch.tensor([[0.0, 0.0, 2.0]])
    advantages, returns = gae(rewards, torch.full((1, 3), 2.0), torch.ones(1, 3, dtype=torch.bool), gamma=1.0, lam=0.7)
    assert advantages.tolist() == [[0.0, 0.0, 0.0]]
    assert returns.tolist() == [[2.0, 2.0, 2.0]]


def test_pads_on_either_side_change_nothing():
    rewards, values = torch.tensor([[1.0, 0.0, 4.0]]), torch.tensor([[1.0, 4.0, 2.0]])
    plain = gae(rewards, values, torch.ones(1, 3, dtype=torch.bool), gamma=0.5, lam=0.5)
    pads = torch.full((1, 2), NAN)
    mask = torch.tensor([[False, False, True, True, True, False, False]])
    padded = gae(torch.cat([pads, rewards, pads], 1), torch.cat([pads, values, pads], 1), mask, gamma=0.5, lam=0.5)
    for a, b in zip(plain, padded, strict=True):
        assert torch.equal(a, b[:, 2:5])
        assert b[:, [0, 1, 5, 6]].abs().sum() == 0


def test_a_hole_in_the_mask_is_stepped_over():
    # The tokens of the hand-worked row with a masked slot between the first and the second.
    rewards, values = torch.tensor([[1.0, NAN, 0.0, 4.0]]), torch.tensor([[1.0, NAN, 4.0, 2.0]])
    advantages, returns = gae(rewards, values, torch.tensor([[True, False, True, True]]), gamma=0.5, lam=0.5)
    assert advantages.tolist() == [[1.375, 0.0, -2.5, 2.0]]
    assert returns.tolist() == [[2.375, 0.0, 1.5, 4.0]]

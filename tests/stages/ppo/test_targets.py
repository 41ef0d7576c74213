"""Rewards by hand: what the penalties take off a score, and what stands on which token."""

import torch

from kochat.stages.ppo.rollout import Rollout
from kochat.stages.ppo.targets import RewardSettings, make_targets, penalised_scores

LENGTHS = [2, 3]


def rollout():
    """Two answers of 2 and 3 tokens; the second was cut off. k1 is 1 nat on every token of the first, 0 on the second."""
    mask = torch.arange(3) < torch.tensor(LENGTHS).unsqueeze(1)
    zeros = torch.zeros(2, 3)
    return Rollout(
        sequences=torch.zeros(2, 5, dtype=torch.long),
        sequence_mask=torch.ones(2, 5, dtype=torch.bool),
        mask=mask,
        stopped=torch.tensor([True, False]),
        old_logprobs=torch.tensor([[-1.0, -1.0, torch.nan], [-2.0, -2.0, -2.0]]),
        ref_logprobs=torch.tensor([[-2.0, -2.0, torch.nan], [-2.0, -2.0, -2.0]]),
        values=zeros,
        entropy=zeros,
        scores=torch.tensor([5.0, 1.0]),
        raw_scores=torch.zeros(2),
        disagreement=torch.tensor([0.5, 2.0]),
    )


def test_penalties_by_hand():
    settings = RewardSettings(0.0, missing_eos_penalty=4.0, length_penalty=0.1, disagreement_coef=2.0)
    # 5 - 0 - 0.2 - 1 and 1 - 4 - 0.3 - 4
    torch.testing.assert_close(penalised_scores(rollout(), settings), torch.tensor([3.8, -7.3]))


def test_without_penalties_the_score_stays():
    assert penalised_scores(rollout(), RewardSettings(0.1)).tolist() == [5.0, 1.0]


def test_returns_are_rewards_to_come_and_are_not_whitened():
    """With V = 0 and gamma = lambda = 1 the returns are the sums of the rewards still to come."""
    settings = RewardSettings(0.5, gae_lambda=1.0)
    targets = make_targets(rollout(), settings, whiten=lambda advantages, mask: advantages * 0 + 7.0)
    # Rewards: -0.5, -0.5 + 5 and 0, 0, 1.
    torch.testing.assert_close(targets.returns, torch.tensor([[4.0, 4.5, 0.0], [1.0, 1.0, 1.0]]))
    assert (targets.advantages == 7.0).all()
    assert targets.kl.tolist() == [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]

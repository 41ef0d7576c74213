"""Rewards by hand: what the penalties take off a score, and what stands on which token."""

import torch

from kochat.stages.ppo.metrics import explained_variance
from kochat.stages.ppo.module import PPOModule
from kochat.stages.ppo.rollout import Rollout
from tests.stages.harness import trainer

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


def ppo(tmp_path, **options):
    """Return a module that has a trainer and no models: maths alone."""
    module = PPOModule(**{"missing_eos_penalty": 0.0} | options)
    module.trainer = trainer(tmp_path)
    return module


def test_penalties_by_hand(tmp_path):
    charges = {
        "missing_eos_penalty": 4.0,
        "length_penalty": 0.1,
        "disagreement_coef": 2.0,
        "reward_ensemble": ["other"],
    }
    # 5 - 0 - 0.2 - 1 and 1 - 4 - 0.3 - 4
    torch.testing.assert_close(ppo(tmp_path, **charges).targets(rollout()).scores, torch.tensor([3.8, -7.3]))


def test_without_penalties_the_score_stays(tmp_path):
    assert ppo(tmp_path).targets(rollout()).scores.tolist() == [5.0, 1.0]


def test_returns_are_rewards_to_come_and_are_not_whitened(tmp_path):
    """With V = 0 and gamma = lambda = 1 the returns, and the advantages before whitening, are the sums of the rewards still to come."""
    targets = ppo(tmp_path, kl_coef=0.5, gae_lambda=1.0).targets(rollout())
    # Rewards: -0.5, -0.5 + 5 and 0, 0, 1.
    returns = torch.tensor([4.0, 4.5, 1.0, 1.0, 1.0])
    mask = rollout().mask
    torch.testing.assert_close(targets.returns, torch.tensor([[4.0, 4.5, 0.0], [1.0, 1.0, 1.0]]))
    torch.testing.assert_close(targets.advantages[mask], (returns - returns.mean()) / returns.std(correction=0))
    assert targets.kl.tolist() == [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


def test_the_kl_that_is_charged_is_the_weight_of_now_and_not_the_configs(tmp_path):
    module = ppo(tmp_path, kl_coef=0.5, gae_lambda=1.0)
    module.kl_weight = 0.0
    torch.testing.assert_close(module.targets(rollout()).returns, torch.tensor([[5.0, 5.0, 0.0], [1.0, 1.0, 1.0]]))


def test_explained_variance_by_hand(tmp_path):
    """Returns 4, 4.5, 1, 1, 1: a critic that says them explains all, one that says their mean nothing, one that says 0 as little."""
    mask, run = rollout().mask, trainer(tmp_path)
    returns = torch.tensor([[4.0, 4.5, torch.nan], [1.0, 1.0, 1.0]])
    assert explained_variance(run, returns, returns, mask) == 1
    assert explained_variance(run, torch.full_like(returns, 2.3), returns, mask).abs() < 1e-6
    half = explained_variance(
        run, returns / 2, returns, mask
    )  # errors half as large: a quarter of the variance is left
    torch.testing.assert_close(half, torch.tensor(0.75))
    assert explained_variance(run, returns, torch.ones_like(returns), mask) == 0  # nothing varies

"""From a rollout to what PPO's update aims at: rewards, advantages and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from kochat.functional import gae, kl_estimate, shaped_rewards
from kochat.stages.ppo.rollout import Rollout

Whiten = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class RewardSettings:
    """What a rollout's tokens are paid and charged.

    Args:
        kl_coef: weight of the per-token KL, in score per nat.
        kl_kind: its estimator, k1, k2 or k3.
        gamma: discount per token.
        gae_lambda: GAE's lambda.
        missing_eos_penalty: off the score of answers that did not end by themselves.
        length_penalty: off the score for each token of an answer.
        disagreement_coef: off the score for each standard deviation between the reward models.
    """

    kl_coef: float
    kl_kind: str = "k1"
    gamma: float = 1.0
    gae_lambda: float = 0.95
    missing_eos_penalty: float = 0.0
    length_penalty: float = 0.0
    disagreement_coef: float = 0.0


@dataclass(frozen=True)
class Targets:
    """What a rollout's update aims at.

    Args:
        advantages: (b, r), whitened.
        returns: (b, r) the critic's targets, not whitened.
        kl: (b, r) nats per token against the reference.
        scores: (b,) rewards as PPO sees them: centred scores less the penalties.
    """

    advantages: torch.Tensor
    returns: torch.Tensor
    kl: torch.Tensor
    scores: torch.Tensor


def penalised_scores(rollout: Rollout, settings: RewardSettings) -> torch.Tensor:
    """Return the centred scores less the penalties for a missing end, for length and for disagreement, (b,)."""
    missing_eos = settings.missing_eos_penalty * (~rollout.stopped).float()
    length = settings.length_penalty * rollout.mask.sum(1)
    return rollout.scores - missing_eos - length - settings.disagreement_coef * rollout.disagreement


@torch.no_grad()
def make_targets(rollout: Rollout, settings: RewardSettings, whiten: Whiten) -> Targets:
    """Turn scores and KL into advantages and returns.

    Args:
        rollout: answers with all that is known of them.
        settings: what they are paid and charged.
        whiten: (advantages, mask) -> advantages of mean 0 and variance 1 over all ranks. Returns are made before it: the
            critic learns the true scale.
    """
    kl = kl_estimate(rollout.old_logprobs, rollout.ref_logprobs, settings.kl_kind, mask=rollout.mask)
    scores = penalised_scores(rollout, settings)
    rewards = shaped_rewards(scores, kl, rollout.mask, settings.kl_coef)
    advantages, returns = gae(rewards, rollout.values, rollout.mask, settings.gamma, settings.gae_lambda)
    return Targets(whiten(advantages, rollout.mask), returns, kl, scores)

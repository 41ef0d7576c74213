"""Compute what PPO logs about a rollout and its update; docs/metrics.md defines each quantity."""

from __future__ import annotations

import math
from collections.abc import Iterable

import lightning as L
import torch

from kochat.engine.ranks import count_share, masked_moments
from kochat.errors import RunError
from kochat.functional import masked_mean
from kochat.stages.ppo.rollout import Rollout, Targets

Statistics = dict[str, torch.Tensor]  # name -> scalar
Loss = tuple[torch.Tensor, Statistics]  # a scalar to minimise, and the statistics to log


class UpdateStatistics:
    """Collect the statistics of an update's minibatches and average them."""

    def __init__(self) -> None:
        self._minibatches: list[Statistics] = []

    def add(self, minibatch: Statistics) -> None:
        """Keep the statistics of one minibatch."""
        self._minibatches.append(minibatch)

    def means(self) -> dict[str, float]:
        """Return the mean of each statistic over the minibatches, and how many ``minibatches`` there were.

        Raises:
            RunError: a mean is NaN or infinite; the next rollout could not sample from such a policy.
        """
        names = self._minibatches[0]
        means = {name: float(torch.stack([each[name] for each in self._minibatches]).mean()) for name in names}
        bad = [name for name, value in means.items() if not math.isfinite(value)]
        if bad:
            raise RunError(
                f"ppo/{bad[0]} is not finite after an update; lower model.learning_rate or model.max_grad_norm, or train in 32-true"
            )
        return means | {"minibatches": float(len(self._minibatches))}


def summed(losses: Iterable[Loss]) -> Loss:
    """Add losses, and join their statistics."""
    parts = list(losses)
    total = torch.stack([loss for loss, _ in parts]).sum()
    return total, {name: value for _, statistics in parts for name, value in statistics.items()}


def objective(rewards: torch.Tensor, kl: torch.Tensor, kl_weight: float) -> torch.Tensor:
    """Return what PPO raises, (b,): the reward (b,) minus the weighted KL (b, r) in nats, summed over the answer's tokens."""
    return rewards - kl_weight * kl.sum(1)


def rollout_metrics(trainer: L.Trainer, rollout: Rollout, targets: Targets, kl_weight: float) -> Statistics:
    """Return the means over the answers or generated tokens of all ranks, and the explained variance of the critic.

    Each is the sum of this rank divided by (global count / number of ranks), so its average over ranks is the global mean. Shapes: ().
    """
    answers = count_share(trainer, torch.ones_like(rollout.stopped))
    tokens = count_share(trainer, rollout.mask)
    by_answer = {
        "reward": targets.scores,
        "raw_score": rollout.raw_scores,
        "centred_score": rollout.scores,
        "reward_disagreement": rollout.disagreement,
        "kl_sequence": targets.kl.sum(1),
        "objective": objective(targets.scores, targets.kl, kl_weight),
        "response_length": rollout.mask.sum(1),
        "stopped": rollout.stopped,
    }
    by_token = {"kl": targets.kl, "value": rollout.values, "entropy": rollout.entropy}
    return {
        **{name: value.float().sum() / answers for name, value in by_answer.items()},
        **{name: masked_mean(value, rollout.mask, num_tokens=tokens) for name, value in by_token.items()},
        "explained_variance": explained_variance(trainer, rollout.values, targets.returns, rollout.mask),
    }


def explained_variance(
    trainer: L.Trainer, values: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Return 1 - Var(returns - values) / Var(returns) over the tokens of all ranks, shape: ().

    1 means that the critic predicts every return exactly, 0 that it is no better than their mean, below 0 that it is
    worse. The result is 0 if the returns do not vary.

    Args:
        trainer: the Trainer, for sums over its ranks.
        values: (b, t) the critic's values before the update.
        returns: (b, t) the critic's targets.
        mask: (b, t) bool, True on generated tokens.
    """
    _, variance = masked_moments(trainer, returns, mask)
    _, unexplained = masked_moments(trainer, returns - values, mask)
    return torch.where(variance > 0, 1 - unexplained / variance, 0.0)

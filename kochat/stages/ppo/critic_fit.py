"""Fit the critic's head to the first rollout, so that its first values are not those of a reward model.

A reward model's head is trained at EOS alone. At other tokens its scores can be anywhere: on the embedded world it
says -2.2 where the return is 0.0. The head that predicts the returns best is known in closed form.
"""

from __future__ import annotations

from dataclasses import replace

import lightning as L
import torch

from kochat.engine.ranks import sum_over_ranks
from kochat.functional import ridge_weights
from kochat.nn.heads import ScalarHead
from kochat.nn.roles import Role
from kochat.nn.unpadded import rows_of
from kochat.stages.ppo.rollout import Rollout, spread, value_states

RIDGE = 1.0  # penalty, in mean variances of the hidden states; a rollout has fewer answers than states have numbers


@torch.no_grad()
def refit_critic(
    trainer: L.Trainer, critic: Role, rollout: Rollout, returns: torch.Tensor, *, unpad: bool = True
) -> Rollout:
    """Fit the critic's head by ridge regression; return the rollout with the critic's new values.

    Args:
        trainer: the Trainer, for sums over its ranks, which all get the same head.
        critic: the critic; its head has a bias.
        rollout: the first rollout.
        returns: (b, r) discounted sums of the rewards from each token on, which depend on no value.
        unpad: run the critic without padding; see `UnpaddedRows`.
    """
    rows = rows_of(rollout.sequences, rollout.sequence_mask, unpad=unpad)
    states = value_states(critic, rows, rollout.mask)
    fit_head(trainer, critic.head, states, returns[rollout.mask])  # type: ignore[arg-type]
    return replace(rollout, values=spread(critic.project(states), rollout.mask))


@torch.no_grad()
def fit_head(trainer: L.Trainer, head: ScalarHead, states: torch.Tensor, returns: torch.Tensor) -> None:
    """Set a head with a bias to the ridge regression of ``returns`` (n,) on ``states`` (n, hidden) over all ranks."""
    states = states.float()
    count = sum_over_ranks(trainer, torch.tensor(float(len(returns)), device=states.device)).clamp(min=1)
    mean = sum_over_ranks(trainer, states.sum(0)) / count
    level = sum_over_ranks(trainer, returns.sum()) / count
    centred = states - mean
    covariance = sum_over_ranks(trainer, centred.T @ centred) / count
    cross = sum_over_ranks(trainer, centred.T @ (returns - level)) / count
    weights = ridge_weights(covariance, cross, RIDGE)
    head.weight.copy_(weights.unsqueeze(0))
    head.bias.fill_(float(level) - float(mean.double().cpu() @ weights))

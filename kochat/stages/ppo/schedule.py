"""When PPO steps on what: minibatches of a rollout, and learning rates over the run."""

from __future__ import annotations

import math
from collections.abc import Iterator

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from kochat.engine.optimizers import adamw, planned_steps
from kochat.stages.ppo.models import PPORoles
from kochat.stages.ppo.options import OptimisationOptions


def minibatches(
    trainer: L.Trainer, rows: int, options: OptimisationOptions, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Deal the rows of a rollout into minibatches, newly shuffled for each of the ``ppo_epochs`` passes.

    Every rank takes the same number of steps, as many as the longest needs: one with fewer rows (the last batch of a pool
    is short) deals smaller minibatches, empty ones too, or the others would wait for its gradients for ever.

    Args:
        trainer: whose ranks deal alike.
        rows: answers of this rank.
        options: how many passes, and how many answers a minibatch.
        generator: this rank's random state.

    Yields:
        The row numbers of each minibatch, (m,).
    """
    count = math.ceil(rows / options.minibatch_size)
    most = int(trainer.strategy.reduce(torch.tensor(count, device=generator.device), reduce_op="max"))
    for _ in range(options.ppo_epochs):
        order = torch.randperm(rows, generator=generator, device=generator.device)
        yield from order.split(options.minibatch_size) if count == most else order.tensor_split(most)


def falling_adamw(trainer: L.Trainer, roles: PPORoles, options: OptimisationOptions) -> OptimizerLRSchedulerConfig:
    """Build one AdamW with a parameter group each for policy and critic; their rates fall linearly to 0, a step a rollout.

    One optimizer, one loss: two with separate backward passes would break DDP.

    Args:
        trainer: whose precision and length decide.
        roles: whose policy and critic are trained.
        options: their rates at the start.
    """
    rates = ((roles.policy, options.learning_rate), (roles.critic, options.critic_learning_rate))
    groups = [{"params": [p for p in role.parameters() if p.requires_grad], "lr": rate} for role, rate in rates]
    optimizer = adamw(groups, 0.0, fused=str(trainer.precision) != "16-mixed")  # PPO clips gradients itself
    planned_steps(trainer)  # a run without an end is refused; this also makes Lightning count the batches
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda rollouts: 1 - progress(trainer, rollouts))
    return {"optimizer": optimizer, "lr_scheduler": schedule}


def progress(trainer: L.Trainer, rollouts: int) -> float:
    """Return the share of the run that is over after some rollouts, 0 to 1, by whichever limit comes first.

    ``max_steps`` counts optimizer steps, of which a rollout takes as many as it has minibatches, fewer where ``target_kl`` ends
    its update; epochs count rollouts.
    """
    by_steps = trainer.global_step / trainer.max_steps if trainer.max_steps > 0 else 0.0
    by_rollouts = 0.0
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        by_rollouts = rollouts / max(1, int(trainer.num_training_batches) * trainer.max_epochs)
    return min(1.0, max(by_steps, by_rollouts))

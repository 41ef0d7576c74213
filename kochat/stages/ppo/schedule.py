"""Schedule PPO's optimizer steps: minibatches of a rollout, and learning rates over the run."""

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
    """Split the rows of a rollout into minibatches, shuffled again for each of the ``ppo_epochs`` passes.

    Every rank takes the same number of steps, as many as the rank with the most rows needs. A rank with fewer rows (the
    last batch may be short) gets smaller or empty minibatches; otherwise the other ranks would wait for its gradients
    for ever.

    Args:
        trainer: the Trainer, whose ranks agree on the number of steps.
        rows: number of answers of this rank.
        options: number of passes, and answers per minibatch.
        generator: this rank's random generator.

    Yields:
        The row numbers of each minibatch, (m,).
    """
    count = math.ceil(rows / options.minibatch_size)
    most = int(trainer.strategy.reduce(torch.tensor(count, device=generator.device), reduce_op="max"))
    for _ in range(options.ppo_epochs):
        order = torch.randperm(rows, generator=generator, device=generator.device)
        yield from order.split(options.minibatch_size) if count == most else order.tensor_split(most)


def falling_adamw(trainer: L.Trainer, roles: PPORoles, options: OptimisationOptions) -> OptimizerLRSchedulerConfig:
    """Build one AdamW with a parameter group each for policy and critic; their rates fall linearly to 0, updated once per rollout.

    Two optimizers with separate backward passes would break DDP.

    Args:
        trainer: its precision decides whether AdamW is fused, its length the schedule.
        roles: the roles; policy and critic are trained.
        options: the start values of the rates.
    """
    rates = ((roles.policy, options.learning_rate), (roles.critic, options.critic_learning_rate))
    groups = [{"params": [p for p in role.parameters() if p.requires_grad], "lr": rate} for role, rate in rates]
    optimizer = adamw(groups, 0.0, fused=str(trainer.precision) != "16-mixed")  # PPO clips gradients itself
    planned_steps(trainer)  # a run without an end is refused; this also makes Lightning count the batches
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda rollouts: 1 - progress(trainer, rollouts))
    return {"optimizer": optimizer, "lr_scheduler": schedule}


def progress(trainer: L.Trainer, rollouts: int) -> float:
    """Return the finished share of the run after ``rollouts`` rollouts, 0 to 1, by the limit that comes first.

    ``max_steps`` counts optimizer steps: one per minibatch, fewer where ``target_kl`` ends an update. Epochs count
    rollouts.
    """
    by_steps = trainer.global_step / trainer.max_steps if trainer.max_steps > 0 else 0.0
    by_rollouts = 0.0
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        by_rollouts = rollouts / max(1, int(trainer.num_training_batches) * trainer.max_epochs)
    return min(1.0, max(by_steps, by_rollouts))

"""Schedule PPO's optimizer steps: minibatches of a rollout, the critic's start, and learning rates over the run."""

from __future__ import annotations

import math
from collections.abc import Iterator

import lightning as L
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

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
    most = minibatches_a_pass(trainer, rows, options)
    for _ in range(options.ppo_epochs):
        order = torch.randperm(rows, generator=generator, device=generator.device)
        yield from order.split(options.minibatch_size) if count == most else order.tensor_split(most)


def minibatches_a_pass(trainer: L.Trainer, rows: int, options: OptimisationOptions) -> int:
    """Return the number of minibatches of the rank with the most rows; ``rows`` is this rank's number of answers."""
    count = torch.tensor(math.ceil(rows / options.minibatch_size), device=trainer.strategy.root_device)
    return int(trainer.strategy.reduce(count, reduce_op="max"))


def policy_and_critic_adamw(trainer: L.Trainer, roles: PPORoles, options: OptimisationOptions) -> torch.optim.Optimizer:
    """Build one AdamW with a parameter group each for policy and critic; `RunSchedule` sets their rates.

    Two optimizers with separate backward passes would break DDP.

    Args:
        trainer: its precision decides whether AdamW is fused; a run without an end is refused.
        roles: the roles; policy and critic are trained.
        options: the peak rates.
    """
    rates = ((roles.policy, options.learning_rate), (roles.critic, options.critic_learning_rate))
    groups = [{"params": [p for p in role.parameters() if p.requires_grad], "lr": rate} for role, rate in rates]
    planned_steps(trainer)  # this also makes Lightning count the batches
    return adamw(groups, 0.0, fused=str(trainer.precision) != "16-mixed")  # PPO clips gradients itself


class RunSchedule:
    """Where a run stands: which rollouts train the critic alone, and the learning rates of each optimizer step.

    Args:
        options: the peak rates, the warm-up of the rates, and that of the critic.

    Attributes:
        rollouts: number of finished rollouts.
        critic_rollouts: number of rollouts at the start that train the critic alone; set by `begin`.
    """

    def __init__(self, options: OptimisationOptions) -> None:
        self.options = options
        self.rollouts = self.critic_rollouts = 0
        self.policy_start = 0.0  # share of the run at which the policy's schedule starts

    @property
    def trains_policy(self) -> bool:
        """Whether this rollout trains the policy too."""
        return self.rollouts >= self.critic_rollouts

    def begin(self, trainer: L.Trainer, rows: int) -> None:
        """Decide how many rollouts train the critic alone: ``critic_warmup``, but at most half of the run's rollouts.

        Args:
            trainer: its limits of steps and epochs; a resumed run keeps its decision.
            rows: number of answers of this rank in a rollout.
        """
        if self.rollouts:
            return
        planned = planned_rollouts(trainer, rows, self.options)
        self.critic_rollouts = int(min(self.options.critic_warmup, planned // 2))
        if self.critic_rollouts < self.options.critic_warmup:
            rank_zero_warn(
                f"model.critic_warmup={self.options.critic_warmup} is more than half of the run's {planned:g} rollouts; "
                f"the critic is trained alone in {self.critic_rollouts} of them"
            )

    def end_rollout(self, trainer: L.Trainer) -> None:
        """Count a finished rollout; the policy's rates start after the last one that trains the critic alone."""
        self.rollouts += 1
        if self.rollouts == self.critic_rollouts:
            self.policy_start = progress(trainer, self.rollouts, trainer.global_step)

    def set_rates(self, trainer: L.Trainer, optimizer: torch.optim.Optimizer, step: int, steps: int) -> None:
        """Set the rates of policy and critic for optimizer step number ``step`` of the ``steps`` planned in this rollout."""
        before = progress(trainer, self.rollouts + step / steps, trainer.global_step)
        after = progress(trainer, self.rollouts + (step + 1) / steps, trainer.global_step + 1)
        critic = rate_share(before, after, self.options.warmup)
        policy = 0.0
        if self.trains_policy:
            start, length = self.policy_start, max(1 - self.policy_start, 1e-9)
            policy = rate_share((before - start) / length, (after - start) / length, self.options.warmup)
        peaks = (self.options.learning_rate, self.options.critic_learning_rate)
        for group, share, peak in zip(optimizer.param_groups, (policy, critic), peaks, strict=True):
            group["lr"] = share * peak

    def state_dict(self) -> dict[str, float]:
        """Return what a checkpoint needs."""
        return {name: getattr(self, name) for name in ("rollouts", "critic_rollouts", "policy_start")}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restore the result of `state_dict`."""
        self.rollouts, self.critic_rollouts = int(state["rollouts"]), int(state["critic_rollouts"])
        self.policy_start = state["policy_start"]


def rate_share(before: float, after: float, warmup: float) -> float:
    """Return the share of the peak rate for a step: it rises linearly from 0 to 1 and then falls linearly to 0.

    Args:
        before: finished share of the run before the step, 0 to 1.
        after: finished share after it.
        warmup: share of the run in which the rate rises.
    """
    rise = after / warmup if warmup else 1.0
    fall = (1 - before) / (1 - warmup) if warmup < 1 else 1.0
    return max(0.0, min(1.0, rise, fall))


def planned_rollouts(trainer: L.Trainer, rows: int, options: OptimisationOptions) -> float:
    """Return how many rollouts a run has, by the limit that comes first; updates that end early make more of them.

    Args:
        trainer: its ``max_steps`` counts optimizer steps; its epochs count rollouts.
        rows: number of answers of this rank in a rollout.
        options: optimizer steps in a rollout.
    """
    steps = options.ppo_epochs * minibatches_a_pass(trainer, rows, options)
    by_steps = trainer.max_steps / steps if trainer.max_steps > 0 else math.inf
    return min(by_steps, rollouts_of_epochs(trainer))


def rollouts_of_epochs(trainer: L.Trainer) -> float:
    """Return how many rollouts the run's epochs have; infinite without a limit of epochs."""
    if trainer.max_epochs is None or trainer.max_epochs <= 0:
        return math.inf
    return max(1, int(trainer.num_training_batches) * trainer.max_epochs)


def progress(trainer: L.Trainer, rollouts: float, steps: int) -> float:
    """Return the finished share of the run, 0 to 1, by the limit that comes first.

    Args:
        trainer: its ``max_steps`` counts optimizer steps, fewer in a rollout where ``target_kl`` ends an update.
        rollouts: finished rollouts, with the finished share of the current one.
        steps: finished optimizer steps.
    """
    by_steps = steps / trainer.max_steps if trainer.max_steps > 0 else 0.0
    return min(1.0, max(by_steps, rollouts / rollouts_of_epochs(trainer)))

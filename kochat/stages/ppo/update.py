"""PPO's update: clipped steps on minibatches of a rollout, for several epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from kochat.engine.optimizers import adamw
from kochat.engine.stage_module import ChatModule
from kochat.errors import RunError
from kochat.functional import kl_estimate, masked_mean, ppo_policy_loss, value_loss
from kochat.nn.unpadded import rows_of
from kochat.stages.ppo.checks import check_gradients
from kochat.stages.ppo.ppo_roles import PPORoles
from kochat.stages.ppo.rollout import Rollout, response_logprobs, response_values
from kochat.stages.ppo.targets import Targets

Statistics = dict[str, torch.Tensor]


class PPOUpdate(ChatModule):
    """The part of `PPOModule` that takes optimizer steps; its options are defined there."""

    roles: PPORoles
    clip_range: float
    value_clip_range: float
    vf_coef: float
    ppo_epochs: int
    minibatch_size: int
    gradient_accumulation: int
    target_kl: float | None
    learning_rate: float
    critic_learning_rate: float
    max_grad_norm: float
    temperature: float
    packing: bool

    def _rank_sampler(self) -> torch.Generator:
        raise NotImplementedError

    def update(self, rollout: Rollout, targets: Targets) -> dict[str, float]:
        """Take clipped steps on minibatches for several epochs; return the mean of each loss and statistic.

        With ``target_kl`` the update ends, on all ranks together, at the first minibatch on which the policy has gone too far. It also
        ends where ``max_steps`` is reached: Lightning looks only after each rollout.
        """
        optimizer = self.optimizers()
        totals: dict[str, list[torch.Tensor]] = {}
        for index in self.minibatches(len(rollout.scores)):
            statistics = self.accumulate(rollout, targets, index)
            for name, value in statistics.items():
                totals.setdefault(name, []).append(value)
            if self.all_ranks_too_far(statistics):
                optimizer.zero_grad()  # type: ignore[union-attr]
                break
            optimizer.step()  # type: ignore[union-attr]
            optimizer.zero_grad()  # type: ignore[union-attr]
            if 0 < self.trainer.max_steps <= self.trainer.global_step:
                break
        return finite_means(totals) | {"minibatches": float(len(totals["policy_loss"]))}

    def minibatches(self, rows: int) -> Iterator[torch.Tensor]:
        """Deal all rows into minibatches, newly shuffled for each epoch.

        Every rank takes the same number of steps, as many as the longest needs: one with fewer rows (the last batch of a pool
        is short) deals smaller minibatches, empty ones too, or the others would wait for its gradients for ever.
        """
        count = math.ceil(rows / self.minibatch_size)
        most = int(self.trainer.strategy.reduce(torch.tensor(count, device=self.device), reduce_op="max"))
        for _ in range(self.ppo_epochs):
            order = torch.randperm(rows, generator=self._rank_sampler(), device=self.device)
            yield from order.split(self.minibatch_size) if count == most else order.tensor_split(most)

    def accumulate(self, rollout: Rollout, targets: Targets, index: torch.Tensor) -> Statistics:
        """Accumulate a minibatch's gradient over its parts; return its statistics.

        Losses are divided by the token count of the whole minibatch over all ranks, so that neither the number of parts nor
        that of ranks changes the gradient.
        """
        share = self.token_share(rollout.mask[index])
        totals: Statistics = {}
        for part in index.tensor_split(self.gradient_accumulation):
            rows, part = _with_rows(rollout, part)
            for loss, statistics in self.losses_to_backward(rows, part, targets, share):
                self.manual_backward(loss)
                totals |= {name: totals.get(name, 0.0) + value.detach() for name, value in statistics.items()}
        if self.trainer.global_step == 0:
            check_gradients(self.roles)
        return totals

    def losses_to_backward(self, *args: Any) -> Iterator[tuple[torch.Tensor, Statistics]]:
        """Yield the policy's loss, then the critic's, whose graph is built only when the policy's is gone: they share no parameter.

        Several ranks get the sum: DDP reduces a gradient in one backward pass over all that is trained.
        """
        if self.trainer.world_size == 1:
            yield from self.minibatch_losses(*args)
        else:
            yield self.minibatch_loss(*args)

    def minibatch_loss(self, *args: Any) -> tuple[torch.Tensor, Statistics]:
        """Return policy loss + vf_coef * value loss, and the statistics of both; arguments as of `minibatch_losses`."""
        (policy_loss, statistics), (critic_loss, more) = self.minibatch_losses(*args)
        return policy_loss + critic_loss, statistics | more

    def minibatch_losses(
        self, part: Rollout, index: torch.Tensor, targets: Targets, share: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, Statistics]]:
        """Yield (policy loss, statistics) and (vf_coef * value loss, statistics), all sums over tokens divided by ``share``.

        Args:
            part: the rows ``index`` of the rollout.
            index: (m,) which rows those are.
            targets: of the whole rollout.
            share: what sums are divided by; see `ChatModule.token_share`.
        """
        rows = rows_of(part.sequences, part.sequence_mask, unpad=self.packing)
        logprobs = response_logprobs(self.roles.policy, rows, part.mask, self.temperature)
        policy_loss, clip_fraction = ppo_policy_loss(
            logprobs, part.old_logprobs, targets.advantages[index], part.mask, self.clip_range, num_tokens=share
        )
        moved = kl_estimate(part.old_logprobs, logprobs.detach(), "k3", mask=part.mask)
        approx_kl = masked_mean(moved, part.mask, num_tokens=share)
        yield policy_loss, {"policy_loss": policy_loss, "clip_fraction": clip_fraction, "approx_kl": approx_kl}
        values = response_values(self.roles.critic, rows, part.mask)
        critic_loss, clip_fraction = value_loss(
            values, part.values, targets.returns[index], part.mask, self.value_clip_range, num_tokens=share
        )
        yield self.vf_coef * critic_loss, {"value_loss": critic_loss, "value_clip_fraction": clip_fraction}

    def all_ranks_too_far(self, statistics: Statistics) -> bool:
        """Tell whether the policy is further from the rollout's than 1.5 ``target_kl``, over all ranks; every rank must ask."""
        if self.target_kl is None:
            return False
        return float(self.global_sum(statistics["approx_kl"])) / self.trainer.world_size > 1.5 * self.target_kl

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradient's norm; Lightning calls this after fp16 gradients are unscaled."""
        norm = torch.nn.utils.clip_grad_norm_(self.trainable_parameters(), self.max_grad_norm)
        self.log("ppo/grad_norm", norm, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return one AdamW with a group each for policy and critic; both rates fall linearly to 0."""
        policy = [p for p in self.roles.policy.parameters() if p.requires_grad]
        critic = [p for p in self.roles.critic.parameters() if p.requires_grad]
        groups = [{"params": policy, "lr": self.learning_rate}, {"params": critic, "lr": self.critic_learning_rate}]
        optimizer = adamw(groups, 0.0, fused=str(self.trainer.precision) != "16-mixed")  # gradients are clipped here
        self.planned_steps()  # a run without an end is refused; this also makes Lightning count the batches
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda rollout: 1 - self.progress(rollout))
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def progress(self, rollouts: int) -> float:
        """Return the share of the run that is over after some rollouts, 0 to 1, by whichever limit comes first.

        ``max_steps`` counts optimizer steps, of which a rollout takes as many as it has minibatches, fewer where ``target_kl`` ends
        its update; epochs count rollouts.
        """
        trainer = self.trainer
        by_steps = trainer.global_step / trainer.max_steps if trainer.max_steps > 0 else 0.0
        by_rollouts = 0.0
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            by_rollouts = rollouts / max(1, int(trainer.num_training_batches) * trainer.max_epochs)
        return min(1.0, max(by_steps, by_rollouts))


def _with_rows(rollout: Rollout, index: torch.Tensor) -> tuple[Rollout, torch.Tensor]:
    """Return the rows ``index``; of no rows, one row of which no token counts: DDP waits for this rank's gradients too."""
    if len(index):
        return rollout.rows(index), index
    index = index.new_zeros(1)
    return replace(rollout.rows(index), mask=torch.zeros_like(rollout.mask[:1])), index


def finite_means(totals: dict[str, list[torch.Tensor]]) -> dict[str, float]:
    """Return the mean of each list of scalars.

    Raises:
        RunError: when one is NaN or infinite; the next rollout could draw no token from such a policy.
    """
    means = {name: float(torch.stack(values).mean()) for name, values in totals.items()}
    bad = [name for name, value in means.items() if not math.isfinite(value)]
    if bad:
        raise RunError(
            f"ppo/{bad[0]} is not finite after an update; lower model.learning_rate or model.max_grad_norm, or train in 32-true"
        )
    return means

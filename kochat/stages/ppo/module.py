"""PPO: raise the reward model's score of sampled answers while staying near the SFT model.

Read it from `PPOModule.training_step` down: rollout -> targets -> update -> log. Schulman et al. 2017 (arXiv:1707.06347), as used
for language models by Ziegler et al. 2019 (arXiv:1909.08593) and Ouyang et al. 2022 (arXiv:2203.02155). docs/ppo.md lists the other
files. Left out: top-k and top-p sampling, whose
log-probabilities would not be those of the draw, and a pretraining-loss mix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch

from kochat import functional as F
from kochat.data.batches import PromptBatch
from kochat.engine.answering import AnsweredBatch
from kochat.engine.ranks import count_share, masked_moments, sum_over_ranks
from kochat.nn.decoding import Generation
from kochat.nn.unpadded import rows_of
from kochat.stages.ppo import UNIT_METRIC
from kochat.stages.ppo.critic_fit import refit_critic
from kochat.stages.ppo.metrics import Loss, Statistics, UpdateStatistics, rollout_metrics, summed
from kochat.stages.ppo.policy_evaluation import finish_test, log_start, sampled_rows, validation_figures
from kochat.stages.ppo.ppo_hooks import PPOHooks
from kochat.stages.ppo.rollout import Rollout, Targets, response_logprobs, response_values, roll_out
from kochat.stages.ppo.schedule import minibatches
from kochat.stages.ppo.unit_measurement import reward_unit


class PPOModule(PPOHooks):
    """Train a policy with PPO against a reward model.

    Args:
        options: the fields of `PPOOptions`, as keywords.
    """

    # One training step: rollout -> targets -> update -> log

    def training_step(self, batch: PromptBatch, batch_idx: int) -> None:
        """Sample answers to a batch of prompts, and update policy and critic on them."""
        first = not self._prepared  # of this process: also where the run was resumed
        if first:
            self.prepare(batch)
        rollout = self.rollout(batch, self.sampler)
        if self.schedule.rollouts == 0:
            rollout = self.fit_critic(rollout)
        targets = self.targets(rollout)
        statistics = self.update(rollout, targets)
        self.tokens_read += rollout.sequence_mask.sum()
        self.log_rollout(rollout, targets, statistics)
        if first:
            self.log(UNIT_METRIC, self.roles.unit)
        if self.schedule.trains_policy:
            self.adapt_kl_weight(targets)
        self.schedule.end_rollout(self.trainer)

    def prepare(self, batch: PromptBatch) -> None:
        """Before the first rollout: check the roles, set the unit of the reward, validate the SFT model."""
        self.check_before_training(batch)
        self.schedule.begin(self.trainer, len(batch.ids))
        self.reward_unit = self.reward_unit or reward_unit(self)  # a resumed run has it already
        self.roles = self.roles.in_unit(self.reward_unit)
        if self.schedule.rollouts == 0:
            log_start(self)
        self._prepared, self._without_gradient = True, ["policy", "critic"]

    def rollout(self, batch: PromptBatch, generator: torch.Generator | None) -> Rollout:
        """Sample an answer to each prompt, and compute every role's output for it."""
        settings = self.answering.settings(self.options.temperature)
        return roll_out(self.roles, batch, settings, generator, unpad=self.options.unpad)

    @torch.no_grad()
    def fit_critic(self, rollout: Rollout) -> Rollout:
        """Fit the critic's head to the first rollout; return the rollout with the new values."""
        shaped = F.shaped_rewards(*self.rewards(rollout), rollout.mask, self.kl_weight)
        _, returns = F.gae(shaped, torch.zeros_like(shaped), rollout.mask, self.options.gamma, 1.0)
        return refit_critic(self.trainer, self.roles.critic, rollout, returns, unpad=self.options.unpad)

    @torch.no_grad()
    def targets(self, rollout: Rollout) -> Targets:
        """Turn scores and KL into advantages, whitened over all ranks, and returns, which are not whitened."""
        options = self.options
        scores, kl = self.rewards(rollout)
        rewards = F.shaped_rewards(scores, kl, rollout.mask, self.kl_weight)
        advantages, returns = F.gae(rewards, rollout.values, rollout.mask, options.gamma, options.gae_lambda)
        mean, variance = masked_moments(self.trainer, advantages, rollout.mask)
        whitened = F.masked_whiten(advantages, rollout.mask, mean=mean, variance=variance)
        return Targets(whitened, returns, kl, scores)

    def rewards(self, rollout: Rollout) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the reward of each answer without KL, (b,), and the KL of each token, (b, r)."""
        kl = F.kl_estimate(rollout.old_logprobs, rollout.ref_logprobs, self.options.kl_kind, mask=rollout.mask)
        return rollout.scores - self.penalties(rollout, rollout.disagreement), kl

    def penalties(self, answers: Rollout | Generation, disagreement: torch.Tensor) -> torch.Tensor:
        """Return the penalty of each answer, (b,): for a missing end, for length, for the reward models' disagreement."""
        options = self.options
        missing_eos = options.missing_eos_penalty * (~answers.stopped).float()
        length = options.length_penalty * answers.mask.sum(1)
        return missing_eos + length + options.disagreement_coef * disagreement

    def update(self, rollout: Rollout, targets: Targets) -> dict[str, float]:
        """Take clipped steps on minibatches for several epochs; return the mean of each loss and statistic.

        With ``target_kl`` it ends on all ranks at the first minibatch where `gone_too_far` is true, and always
        where ``max_steps`` is reached: Lightning checks only after each rollout.
        """
        optimizer, statistics = cast(Any, self.optimizers()), UpdateStatistics()
        order = list(minibatches(self.trainer, len(rollout.scores), self.options, self.sampler))
        for step, index in enumerate(order):
            self.schedule.set_rates(self.trainer, optimizer.optimizer, step, len(order))
            minibatch = self.accumulate_gradients(rollout, targets, index)
            statistics.add(minibatch)
            if self.gone_too_far(minibatch):
                optimizer.zero_grad()
                break
            optimizer.step()
            optimizer.zero_grad()
            if 0 < self.trainer.max_steps <= self.trainer.global_step:
                break
        return statistics.means()

    def accumulate_gradients(self, rollout: Rollout, targets: Targets, index: torch.Tensor) -> Statistics:
        """Accumulate the gradient of the minibatch ``index`` over its parts; return its statistics.

        Losses are divided by the token count of the whole minibatch over all ranks, so that neither the number of parts nor
        that of ranks changes the gradient.
        """
        share = count_share(self.trainer, rollout.mask[index])
        totals: Statistics = {}
        for part in index.tensor_split(self.options.gradient_accumulation):
            rows = rollout.rows(part) if len(part) else rollout.without_tokens()
            aims = targets.rows(part if len(part) else part.new_zeros(1))
            losses = self.losses(rows, aims, share)
            # DDP needs one backward pass over all trained parameters: several ranks sum the losses.
            for loss, statistics in losses if self.trainer.world_size == 1 else [summed(losses)]:
                self.manual_backward(loss)
                totals |= {name: totals.get(name, 0.0) + value.detach() for name, value in statistics.items()}
        self.check_new_gradients()
        return totals

    def losses(self, rollout: Rollout, targets: Targets, share: torch.Tensor) -> Iterator[Loss]:
        """Yield (policy loss, statistics), unless the critic is trained alone, and (vf_coef * value loss, statistics), each shape: ().

        The critic's graph is built after the policy's has been freed; the two share no parameter.

        Args:
            rollout: the rows of a minibatch, or of a part of one.
            targets: the targets of the same rows.
            share: the divisor of sums over tokens; see `count_share`.
        """
        mask, rows = rollout.mask, rows_of(rollout.sequences, rollout.sequence_mask, unpad=self.options.unpad)
        if self.schedule.trains_policy:
            logprobs = response_logprobs(self.roles.policy, rows, mask, self.options.temperature)
            policy_loss, clip_fraction = F.ppo_policy_loss(
                logprobs, rollout.old_logprobs, targets.advantages, mask, self.options.clip_range, num_tokens=share
            )
            moved = F.kl_estimate(rollout.old_logprobs, logprobs.detach(), "k3", mask=mask)
            approx_kl = F.masked_mean(moved, mask, num_tokens=share)
            yield policy_loss, {"policy_loss": policy_loss, "clip_fraction": clip_fraction, "approx_kl": approx_kl}
        elif self.trainer.world_size > 1:  # DDP waits for every gradient
            yield 0.0 * torch.stack([p.sum() for p in self.trained_parameters("policy")]).sum(), {}
        values = response_values(self.roles.critic, rows, mask)
        reach = self.options.value_clip_range if self.schedule.trains_policy else math.inf
        critic_loss, clip_fraction = F.value_loss(
            values, rollout.values, targets.returns, mask, reach, num_tokens=share
        )
        yield self.options.vf_coef * critic_loss, {"value_loss": critic_loss, "value_clip_fraction": clip_fraction}

    def gone_too_far(self, statistics: Statistics) -> bool:
        """Tell whether KL(old policy, policy) over all ranks exceeds 1.5 ``target_kl``; every rank must call this."""
        if self.options.target_kl is None or not self.schedule.trains_policy:
            return False
        moved = sum_over_ranks(self.trainer, statistics["approx_kl"]) / self.trainer.world_size
        return float(moved) > 1.5 * self.options.target_kl

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradients' norms of policy and critic apart; Lightning calls this after fp16 gradients are unscaled."""
        for name in ("policy", "critic"):
            parameters = self.trained_parameters(name)
            if name == "policy" and not self.schedule.trains_policy:
                for parameter in parameters:
                    parameter.grad = None  # AdamW skips it, its moments too
                continue
            norm = torch.nn.utils.clip_grad_norm_(parameters, self.options.max_grad_norm)
            self.log(f"ppo/{name}_grad_norm", norm, sync_dist=True)

    def adapt_kl_weight(self, targets: Targets) -> None:
        """Change the KL weight so that KL approaches ``kl_target``; the same on all ranks."""
        if self.options.kl_target is not None:
            answers = sum_over_ranks(self.trainer, torch.tensor(len(targets.kl), device=targets.kl.device))
            kl = sum_over_ranks(self.trainer, targets.kl.sum()) / answers
            self.kl_weight = F.adapted_kl_coef(self.kl_weight, float(kl), self.options.kl_target)

    def log_rollout(self, rollout: Rollout, targets: Targets, statistics: dict[str, float]) -> None:
        """Log means over the answers or generated tokens of all ranks; docs/metrics.md defines them."""
        rates = [group["lr"] for group in self.optimizers().param_groups]  # type: ignore[union-attr]
        state = {"kl_coef": self.kl_weight, "learning_rate": rates[0], "critic_learning_rate": rates[1]}
        for name, value in (
            statistics | state | rollout_metrics(self.trainer, rollout, targets, self.kl_weight)
        ).items():
            self.log(f"ppo/{name}", value, sync_dist=True, batch_size=1, prog_bar=name in ("reward", "kl"))

    def validation_step(self, batch: PromptBatch, batch_idx: int) -> None:
        """Log reward, KL and objective on held-out prompts; the draw is the same at every validation."""
        for name, (value, weight) in validation_figures(self, batch, batch_idx).items():
            shown = name in ("val_reward", "val_kl")
            self.log(f"ppo/{name}", value, sync_dist=True, batch_size=weight, prog_bar=shown)

    def test_step(self, batch: PromptBatch, batch_idx: int) -> AnsweredBatch:  # type: ignore[override]
        """Answer test prompts: greedily as every stage does, and sampled where all roles are loaded."""
        if hasattr(self, "roles"):
            self._sampled_rows += sampled_rows(self, batch, batch_idx)
        return self.answered(batch)

    def on_test_epoch_end(self) -> None:
        """Write and log the sampled answers."""
        rows, self._sampled_rows = self._sampled_rows, []
        finish_test(self, rows)

"""PPO: raise the reward model's score of sampled answers while staying near the SFT model.

Read it from `PPOModule.training_step` down: rollout -> targets -> update -> log. Schulman et al. 2017 (arXiv:1707.06347), as used
for language models by Ziegler et al. 2019 (arXiv:1909.08593) and Ouyang et al. 2022 (arXiv:2203.02155). The other files: options,
models (the roles), checks (before the first step), rollout, metrics, schedule. Left out: top-k and top-p sampling, whose
log-probabilities would not be those of the draw, and a pretraining-loss mix.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from kochat import functional as F
from kochat.data.batches import PromptBatch
from kochat.engine.answering import Answering
from kochat.engine.policy_export import write_policy
from kochat.engine.ranks import count_share, masked_moments, rank_generator, sum_over_ranks
from kochat.engine.stage import Stage
from kochat.engine.stage_module import StageModule
from kochat.nn.unpadded import rows_of
from kochat.stages.ppo import STAGE
from kochat.stages.ppo.checks import check_gradients, check_roles, tolerance
from kochat.stages.ppo.metrics import Loss, Statistics, UpdateStatistics, rollout_metrics, summed, validation_metrics
from kochat.stages.ppo.models import PPORoles, find_sources, load_roles, train_only
from kochat.stages.ppo.options import PPOOptions
from kochat.stages.ppo.rollout import Rollout, Targets, response_logprobs, response_values, roll_out
from kochat.stages.ppo.schedule import falling_adamw, minibatches


class PPOModule(StageModule):
    """Train a policy with PPO against a reward model.

    Args:
        options: the fields of `PPOOptions`, as keywords.

    Attributes:
        kl_weight: the current weight of the KL penalty; it starts at ``kl_coef`` and changes only with a ``kl_target``.
        roles: policy, reference, critic and reward models; loaded by `configure_model`.
    """

    stage: ClassVar[Stage] = STAGE
    roles: PPORoles
    answering: Answering

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.automatic_optimization = False  # `update` takes the optimizer's steps
        self.options = PPOOptions(**options)
        self.answering = Answering(self, self.options)
        self.kl_weight = self.options.kl_coef
        self._checked = False

    # One training step: rollout -> targets -> update -> log

    def training_step(self, batch: PromptBatch, batch_idx: int) -> None:
        """Sample answers to a batch of prompts, and update policy and critic on them."""
        if not self._checked:
            self.check_before_training(batch)
        rollout = self.rollout(batch, self.sampler)
        targets = self.targets(rollout)
        statistics = self.update(rollout, targets)
        self.tokens_read += rollout.sequence_mask.sum()
        self.log_rollout(rollout, targets, statistics)
        self.adapt_kl_weight(targets)
        self.lr_schedulers().step()  # type: ignore[union-attr]

    def rollout(self, batch: PromptBatch, generator: torch.Generator | None) -> Rollout:
        """Sample an answer to each prompt, and compute every role's output for it."""
        settings = self.answering.settings(self.options.temperature)
        return roll_out(self.roles, batch, settings, generator, unpad=self.options.unpad)

    @torch.no_grad()
    def targets(self, rollout: Rollout) -> Targets:
        """Turn scores and KL into advantages, whitened over all ranks, and returns, which are not whitened."""
        options = self.options
        kl = F.kl_estimate(rollout.old_logprobs, rollout.ref_logprobs, options.kl_kind, mask=rollout.mask)
        scores = rollout.scores - self.penalties(rollout)
        rewards = F.shaped_rewards(scores, kl, rollout.mask, self.kl_weight)
        advantages, returns = F.gae(rewards, rollout.values, rollout.mask, options.gamma, options.gae_lambda)
        mean, variance = masked_moments(self.trainer, advantages, rollout.mask)
        whitened = F.masked_whiten(advantages, rollout.mask, mean=mean, variance=variance)
        return Targets(whitened, returns, kl, scores)

    def penalties(self, rollout: Rollout) -> torch.Tensor:
        """Return the penalty of each answer, (b,): for a missing end, for length, for the reward models' disagreement."""
        options = self.options
        missing_eos = options.missing_eos_penalty * (~rollout.stopped).float()
        length = options.length_penalty * rollout.mask.sum(1)
        return missing_eos + length + options.disagreement_coef * rollout.disagreement

    def update(self, rollout: Rollout, targets: Targets) -> dict[str, float]:
        """Take clipped steps on minibatches for several epochs; return the mean of each loss and statistic.

        With ``target_kl`` it ends on all ranks at the first minibatch where `gone_too_far` is true, and always
        where ``max_steps`` is reached: Lightning checks only after each rollout.
        """
        optimizer, statistics = cast(Any, self.optimizers()), UpdateStatistics()
        for index in minibatches(self.trainer, len(rollout.scores), self.options, self.sampler):
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
        if self.trainer.global_step == 0:
            check_gradients(self.roles)
        return totals

    def losses(self, rollout: Rollout, targets: Targets, share: torch.Tensor) -> Iterator[Loss]:
        """Yield (policy loss, statistics) and (vf_coef * value loss, statistics), each shape: ().

        The critic's graph is built after the policy's has been freed; the two share no parameter.

        Args:
            rollout: the rows of a minibatch, or of a part of one.
            targets: the targets of the same rows.
            share: the divisor of sums over tokens; see `count_share`.
        """
        options, mask = self.options, rollout.mask
        rows = rows_of(rollout.sequences, rollout.sequence_mask, unpad=options.unpad)
        logprobs = response_logprobs(self.roles.policy, rows, mask, options.temperature)
        policy_loss, clip_fraction = F.ppo_policy_loss(
            logprobs, rollout.old_logprobs, targets.advantages, mask, options.clip_range, num_tokens=share
        )
        moved = F.kl_estimate(rollout.old_logprobs, logprobs.detach(), "k3", mask=mask)
        approx_kl = F.masked_mean(moved, mask, num_tokens=share)
        yield policy_loss, {"policy_loss": policy_loss, "clip_fraction": clip_fraction, "approx_kl": approx_kl}
        values = response_values(self.roles.critic, rows, mask)
        critic_loss, clip_fraction = F.value_loss(
            values, rollout.values, targets.returns, mask, options.value_clip_range, num_tokens=share
        )
        yield options.vf_coef * critic_loss, {"value_loss": critic_loss, "value_clip_fraction": clip_fraction}

    def gone_too_far(self, statistics: Statistics) -> bool:
        """Tell whether KL(old policy, policy) over all ranks exceeds 1.5 ``target_kl``; every rank must call this."""
        if self.options.target_kl is None:
            return False
        moved = sum_over_ranks(self.trainer, statistics["approx_kl"]) / self.trainer.world_size
        return float(moved) > 1.5 * self.options.target_kl

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradient's norm; Lightning calls this after fp16 gradients are unscaled."""
        norm = torch.nn.utils.clip_grad_norm_(self.trainable_parameters(), self.options.max_grad_norm)
        self.log("ppo/grad_norm", norm, sync_dist=True)

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
        for name, value in (statistics | state | rollout_metrics(self.trainer, rollout, targets)).items():
            self.log(f"ppo/{name}", value, sync_dist=True, batch_size=1, prog_bar=name in ("reward", "kl"))

    def validation_step(self, batch: PromptBatch, batch_idx: int) -> None:
        """Log reward and KL of sampled answers to held-out prompts; the draw is the same at every validation."""
        rollout = self.rollout(batch, torch.Generator(self.device).manual_seed(batch_idx))
        for name, (value, weight) in validation_metrics(rollout, self.targets(rollout)).items():
            self.log(f"ppo/{name}", value, sync_dist=True, batch_size=weight, prog_bar=name != "val_response_length")

    # Hooks of Lightning and the command line: models, optimizer, answers, checkpoints, export

    def sources(self) -> dict[str, str]:
        """Name the SFT model and the reward models."""
        return self.options.sources()

    def configure_model(self) -> None:
        """Load all roles; adapters on one base share it. `predict` and `test` load only a trained policy."""
        trained = self.inputs.trained
        validates = (
            trained is not None and self.trainer.state.fn == TrainerFn.VALIDATING
        )  # with the roles that score it
        if self.configured or (not validates and self.load_trained("policy")):
            return
        sources = find_sources(self.inputs, self.sources())
        self.roles = load_roles(sources, self.tokenizer, scale_reward=self.options.scale_reward)
        for role in self.roles.all():
            self.adopt(role)
        train_only(self, [self.roles.policy, self.roles.critic], self.roles.frozen())

    def train(self, mode: bool = True) -> PPOModule:  # noqa: FBT001, FBT002 - torch's
        """Keep every role in eval mode: dropout would make the ratio differ from 1 before the first step."""
        return super().train(False)

    def longest_rows(self) -> dict[str, int]:
        """Return the length of the longest prompt with its answer and the EOS that is added to a cut answer."""
        return self.row_lengths.with_answer(self.options.max_new_tokens, more=1)

    def check_before_training(self, batch: PromptBatch) -> None:
        """Stop before the first step if a role would make ratio, KL or reward wrong."""
        settings, limit = self.answering.settings(self.options.temperature), tolerance(self.trainer.precision)
        check_roles(
            self.roles, batch, settings, limit, at_start=self.trainer.global_step == 0, unpad=self.options.unpad
        )
        self._checked = True

    def on_train_start(self) -> None:
        """Give this rank its own random generator, so that ranks draw different answers."""
        self.sampler = rank_generator(self.device, self.global_rank)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return one AdamW with a parameter group each for policy and critic; both rates fall linearly to 0."""
        return falling_adamw(self.trainer, self.roles, self.options)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the trained weights, and the KL weight if it is adaptive."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["kl_weight"] = self.kl_weight

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the KL weight if it is adaptive; a fixed weight comes from the config."""
        super().on_load_checkpoint(checkpoint)
        if self.options.kl_target is not None:
            self.kl_weight = checkpoint["kl_weight"]

    def export(self, folder: Path) -> None:
        """Write the policy: one adapter on the original base, or a whole causal LM."""
        write_policy(self, "model.policy", self.options.policy, folder)

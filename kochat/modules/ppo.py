"""PPO: raise the reward model's score of sampled answers while staying near the SFT model.

Schulman et al. 2017 (arXiv:1707.06347) as used for language models by Ziegler et al. 2019 (arXiv:1909.08593) and Ouyang et al. 2022
(arXiv:2203.02155): a per-token KL penalty against the frozen SFT model, the score on the last token, GAE, clipped policy and value
losses over several epochs of minibatches. Left out: top-k/top-p sampling (its log-probabilities would not be those of the
draw) and a pretraining-loss mix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from kochat.errors import RunError, UserError
from kochat.functional import (
    entropy,
    gae,
    kl_estimate,
    masked_mean,
    masked_whiten,
    ppo_policy_loss,
    shaped_rewards,
    value_loss,
)
from kochat.functional.kl import KL_KINDS
from kochat.models.backbone import adapter_base, is_adapter, model_folder
from kochat.models.export import ExportInfo, export_info, read_info, template_digest, write_export
from kochat.models.loading import HostPool
from kochat.models.lora import adapter_parameters
from kochat.models.roles import Role
from kochat.models.tokenizer import tokenizer_digest
from kochat.modules.base import ChatModule
from kochat.rollout import Rollout, collect, response_logprobs, response_values
from kochat.types import ModelSource


@dataclass(frozen=True)
class Targets:
    """What a rollout's update aims at.

    Args:
        advantages: (b, r) whitened over all ranks.
        returns: (b, r) the critic's targets.
        kl: (b, r) nats per token against the reference.
        scores: (b,) rewards as PPO sees them: centred, with the missing-EOS penalty.
    """

    advantages: torch.Tensor
    returns: torch.Tensor
    kl: torch.Tensor
    scores: torch.Tensor


class PPOModule(ChatModule):
    """Train a policy with PPO against a reward model.

    Args:
        policy: the SFT model that the policy and the frozen reference start from: a directory, a run name or a hub id.
        reward_model: the reward model that scores, frozen, and that the critic starts from.
        kl_coef: weight of the per-token KL penalty.
        kl_kind: its estimator: k1, k2 or k3 (Schulman, "Approximating KL divergence").
        gamma: discount per token.
        gae_lambda: GAE's lambda.
        clip_range: the policy ratio's clip range.
        value_clip_range: the value's clip range, in units of the reward.
        vf_coef: weight of the value loss.
        ppo_epochs: passes over each rollout.
        minibatch_size: answers per optimizer step and rank.
        learning_rate: AdamW's rate for the policy.
        critic_learning_rate: AdamW's rate for the critic.
        max_grad_norm: gradients are scaled down to this norm.
        temperature: sampling temperature; log-probabilities are taken at it everywhere.
        max_new_tokens: length limit of answers, in tokens.
        missing_eos_penalty: subtracted from the score of answers that did not end by themselves.
        scale_reward: divide the centred score by its spread on held-out answers, so that kl_coef means the same under
            reward models of any logit scale.
    """

    stage: ClassVar[str] = "ppo"

    def __init__(
        self,
        policy: ModelSource = ModelSource("sft_lora16"),  # noqa: B008 - a str, never changed
        reward_model: ModelSource = ModelSource("rm_lora16"),  # noqa: B008 - a str, never changed
        kl_coef: float = 0.1,
        kl_kind: str = "k1",
        gamma: float = 1.0,
        gae_lambda: float = 0.95,
        clip_range: float = 0.2,
        value_clip_range: float = 0.2,
        vf_coef: float = 1.0,
        ppo_epochs: int = 4,
        minibatch_size: int = 16,
        learning_rate: float = 1e-5,
        critic_learning_rate: float = 1e-5,
        max_grad_norm: float = 1.0,
        temperature: float = 1.0,
        max_new_tokens: int = 128,
        missing_eos_penalty: float = 1.0,
        scale_reward: bool = True,
    ) -> None:
        super().__init__(max_new_tokens)
        if temperature <= 0:
            raise UserError(
                f"model.temperature={temperature} draws nothing; PPO needs a temperature above 0, such as 1.0"
            )
        self.automatic_optimization = False
        self.policy = policy
        self.reward_model = reward_model
        self.kl_coef = kl_coef
        self.kl_kind = kl_kind
        self.gamma = gamma
        self.gae_lambda = gae_lambda
        self.clip_range = clip_range
        self.value_clip_range = value_clip_range
        self.vf_coef = vf_coef
        self.ppo_epochs = ppo_epochs
        self.minibatch_size = minibatch_size
        self.learning_rate = learning_rate
        self.critic_learning_rate = critic_learning_rate
        self.max_grad_norm = max_grad_norm
        self.temperature = temperature
        self.missing_eos_penalty = missing_eos_penalty
        self.scale_reward = scale_reward
        self._sampler: torch.Generator | None = None
        self._check_options()

    def _check_options(self) -> None:
        for name in ("ppo_epochs", "minibatch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"model.{name}={getattr(self, name)} is too small; give 1 or more")
        if self.kl_kind not in KL_KINDS:
            raise UserError(f"model.kl_kind={self.kl_kind!r} is no KL estimator; choose one of {', '.join(KL_KINDS)}")

    # Models

    def sources(self) -> dict[str, str]:
        """Name the SFT model and the reward model."""
        return {"model.policy": self.policy, "model.reward_model": self.reward_model}

    def configure_model(self) -> None:
        """Load the four roles; those with adapters on the same base share it."""
        if self._roles:
            return
        validates = self.trained_export is not None and self.trainer.state.fn == TrainerFn.VALIDATING
        if not validates and self.load_trained("policy"):
            return
        policy_folder = model_folder("model.policy", self.policy)
        reward_folder = model_folder("model.reward_model", self.reward_model)
        reward_info = self._check_reward_model(reward_folder)
        pool = HostPool()
        policy = self.adopt(pool.load("policy", self.trained_export or policy_folder))
        reference = self.adopt(pool.load("reference", policy_folder))
        reward_model = self.adopt(pool.load("reward_model", reward_folder, value=True))
        critic = pool.load("critic", reward_folder, value=True)
        self.reward_mean, self.reward_std = reward_statistics(reward_info, self.scale_reward)
        critic.head = critic.head.rescaled(self.reward_mean, self.reward_std)  # type: ignore[union-attr]
        self.adopt(critic)
        train_only(self, [policy, critic], [reference, reward_model])

    def _check_reward_model(self, folder: Path) -> ExportInfo | None:
        """Stop when the reward model was trained on another tokenizer or template than the policy's: it would score noise."""
        info = read_info(folder)
        if info is not None and info.tokenizer != tokenizer_digest(self.tokenizer):
            raise UserError(
                f"model.reward_model: {folder} uses another tokenizer than model.policy; train both on one base"
            )
        if info is not None and info.template != template_digest():
            raise UserError(f"model.reward_model: {folder} was trained with another prompt template; train it again")
        return info

    def train(self, mode: bool = True) -> PPOModule:
        """Keep every role in eval mode: dropout would make the ratio differ from 1 before the first step."""
        return super().train(False)

    # One step: rollout -> advantages -> update -> log

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Roll out on a batch of prompts and update policy and critic on it."""
        rollout = self.rollout(batch, self._rank_sampler())
        targets = self.targets(rollout)
        losses = self.update(rollout, targets)
        self.log_rollout(rollout, targets, losses)
        self.lr_schedulers().step()  # type: ignore[union-attr]

    def rollout(self, batch: dict[str, Any], generator: torch.Generator | None) -> Rollout:
        """Sample answers and score them with all four roles."""
        return collect(
            self.role("policy"),
            self.role("reference"),
            self.role("critic"),
            self.role("reward_model"),
            batch["input_ids"],
            self.prompt_mask(batch),
            self.generation_settings(self.temperature),
            generator,
        )

    @torch.no_grad()
    def targets(self, rollout: Rollout) -> Targets:
        """Turn scores and KL into advantages (whitened over all ranks) and returns."""
        kl = kl_estimate(rollout.old_logprobs, rollout.ref_logprobs, self.kl_kind, mask=rollout.mask)
        scores = self.centred(rollout.scores) - self.missing_eos_penalty * (~rollout.stopped).float()
        rewards = shaped_rewards(scores, kl, rollout.mask, self.kl_coef)
        advantages, returns = gae(rewards, rollout.values, rollout.mask, self.gamma, self.gae_lambda)
        return Targets(self.whiten(advantages, rollout.mask), returns, kl, scores)

    def centred(self, scores: torch.Tensor) -> torch.Tensor:
        """Return scores whose 0 is the mean over the best held-out answers, in units of the held-out spread."""
        return (scores - self.reward_mean) / self.reward_std

    def whiten(self, advantages: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Whiten with the mean and variance over all ranks, so that two ranks equal one."""
        count = self.global_sum(mask.sum()).clamp(min=1)
        mean = self.global_sum(masked_mean(advantages, mask, num_tokens=count))
        variance = self.global_sum(masked_mean((advantages - mean) ** 2, mask, num_tokens=count))
        return masked_whiten(advantages, mask, mean=mean, variance=variance)

    def update(self, rollout: Rollout, targets: Targets) -> dict[str, float]:
        """Take clipped steps on minibatches for several epochs; return the mean of each loss and statistic."""
        optimizer = self.optimizers()
        totals: dict[str, list[torch.Tensor]] = {}
        for index in self.minibatches(len(rollout.scores)):
            part = rollout.rows(index)
            if not len(index):  # DDP waits for this rank's gradients too: one row, of which no token counts
                index = index.new_zeros(1)
                part = replace(rollout.rows(index), mask=torch.zeros_like(rollout.mask[:1]))
            loss, statistics = self.minibatch_loss(part, targets, index)
            self.manual_backward(loss)
            optimizer.step()  # type: ignore[union-attr]
            optimizer.zero_grad()  # type: ignore[union-attr]
            for name, value in statistics.items():
                totals.setdefault(name, []).append(value.detach())
        return finite_means(totals)

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

    def minibatch_loss(
        self, part: Rollout, targets: Targets, index: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return policy loss + vf_coef * value loss over a minibatch, averaged over the tokens of all ranks, and statistics."""
        share = self.token_share(part.mask)
        width = part.mask.shape[1]
        logprobs, logits = response_logprobs(
            self.role("policy"), part.sequences, part.sequence_mask, width, self.temperature
        )
        values = response_values(self.role("critic"), part.sequences, part.sequence_mask, width)
        policy_loss, clip_fraction = ppo_policy_loss(
            logprobs, part.old_logprobs, targets.advantages[index], part.mask, self.clip_range, num_tokens=share
        )
        critic_loss, value_clip_fraction = value_loss(
            values, part.values, targets.returns[index], part.mask, self.value_clip_range, num_tokens=share
        )
        statistics = {
            "policy_loss": policy_loss,
            "value_loss": critic_loss,
            "clip_fraction": clip_fraction,
            "value_clip_fraction": value_clip_fraction,
            "entropy": masked_mean(entropy(logits.detach()), part.mask),
            "approx_kl": masked_mean(kl_estimate(part.old_logprobs, logprobs.detach(), "k1"), part.mask),
        }
        return policy_loss + self.vf_coef * critic_loss, statistics

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradient's norm; Lightning calls this after fp16 gradients are unscaled."""
        norm = torch.nn.utils.clip_grad_norm_(self.trainable_parameters(), self.max_grad_norm)
        self.log("ppo/grad_norm", norm, sync_dist=True)

    def log_rollout(self, rollout: Rollout, targets: Targets, losses: dict[str, float]) -> None:
        """Log what docs/metrics.md defines, masked everywhere."""
        lengths = rollout.mask.sum(1).float()
        quantities = losses | {
            "reward": targets.scores.mean(),
            "raw_score": rollout.scores.mean(),
            "kl": masked_mean(targets.kl, rollout.mask),
            "kl_sequence": torch.where(rollout.mask, targets.kl, 0.0).sum(1).mean(),
            "response_length": lengths.mean(),
            "stopped": rollout.stopped.float().mean(),
            "value": masked_mean(rollout.values, rollout.mask),
        }
        for name, value in quantities.items():
            self.log(f"ppo/{name}", value, sync_dist=True, batch_size=len(lengths), prog_bar=name in ("reward", "kl"))

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Log reward and KL of sampled answers to held-out prompts; the draw is the same at every validation."""
        generator = torch.Generator(self.device).manual_seed(batch_idx)
        rollout = self.rollout(batch, generator)
        targets = self.targets(rollout)
        tokens, rows = int(rollout.mask.sum()), len(rollout.scores)
        self.log("ppo/val_reward", targets.scores.mean(), sync_dist=True, batch_size=rows, prog_bar=True)
        self.log("ppo/val_kl", masked_mean(targets.kl, rollout.mask), sync_dist=True, batch_size=tokens, prog_bar=True)
        self.log("ppo/val_response_length", rollout.mask.sum(1).float().mean(), sync_dist=True, batch_size=rows)

    def _rank_sampler(self) -> torch.Generator:
        """Return this rank's own random state, so that ranks draw different answers."""
        if self._sampler is None or self._sampler.device != self.device:
            self._sampler = torch.Generator(self.device).manual_seed(torch.initial_seed() % 2**31 + self.global_rank)
        return self._sampler

    # Optimiser and export

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return one AdamW with a group each for policy and critic; both rates fall linearly to 0."""
        policy = [p for p in self.role("policy").parameters() if p.requires_grad]
        critic = [p for p in self.role("critic").parameters() if p.requires_grad]
        groups = [{"params": policy, "lr": self.learning_rate}, {"params": critic, "lr": self.critic_learning_rate}]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.0, betas=(0.9, 0.95), foreach=True)
        rollouts = self.planned_rollouts()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / rollouts))
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def planned_rollouts(self) -> int:
        """Return how many rollouts the run makes: ``max_steps`` counts optimizer steps, of which a rollout takes several."""
        rollouts = max(1, int(self.trainer.estimated_stepping_batches))
        if self.trainer.max_steps < 0:
            return rollouts
        batch_size = self.trainer.datamodule.batch_size  # type: ignore[attr-defined]
        steps = self.ppo_epochs * math.ceil(batch_size / self.minibatch_size)
        return min(rollouts, math.ceil(self.trainer.max_steps / steps))

    def export(self, folder: Path) -> None:
        """Write the policy: one adapter on the original base, or a whole causal LM."""
        source = model_folder("model.policy", self.policy)
        role = self.role("policy")
        base = adapter_base(source) if is_adapter(source) else str(source)
        write_export(role, self.tokenizer, folder, export_info(self.stage, base, role.base_digest, self.tokenizer))


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


def reward_statistics(info: ExportInfo | None, scale: bool) -> tuple[float, float]:
    """Return (mean, spread) by which scores are centred; (0, 1) for reward models that kochat did not make."""
    if info is None or info.reward_mean is None or info.reward_std is None:
        return 0.0, 1.0
    return info.reward_mean, info.reward_std if scale else 1.0


def train_only(module: torch.nn.Module, trained: list[Role], frozen: list[Role]) -> None:
    """Make the own parameters of ``trained`` roles trainable and freeze everything else."""
    module.requires_grad_(False)
    for role in trained:
        own = role.parameters() if role.adapter is None else adapter_parameters(role.host, role.adapter)
        for parameter in [*own, *(role.head.parameters() if role.head is not None else [])]:
            parameter.requires_grad_(True)
    if any(parameter.requires_grad for role in frozen for parameter in role.parameters()):
        raise RuntimeError("a frozen role shares parameters with a trained one")

"""PPO: raise the reward model's score of sampled answers while staying near the SFT model.

Schulman et al. 2017 (arXiv:1707.06347) as used for language models by Ziegler et al. 2019 (arXiv:1909.08593) and Ouyang et al. 2022
(arXiv:2203.02155): a per-token KL penalty against the frozen SFT model, the score on the last token, GAE, clipped policy and value
losses over several epochs of minibatches. Left out: top-k/top-p sampling (its log-probabilities would not be those of the
draw) and a pretraining-loss mix.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn

from kochat.config_types import ModelSource
from kochat.engine.inputs import model_folder
from kochat.functional import adapted_kl_coef, masked_mean, masked_whiten
from kochat.nn.backbones import adapter_base, is_adapter
from kochat.nn.exports import export_info, write_export
from kochat.nn.memory import memory_table
from kochat.stages.ppo.checks import check_roles, tolerance
from kochat.stages.ppo.models import PPOSources, load_roles, train_only
from kochat.stages.ppo.options import check_ppo_options
from kochat.stages.ppo.rollout import Rollout, collect
from kochat.stages.ppo.targets import RewardSettings, Targets, make_targets
from kochat.stages.ppo.update import PPOUpdate


class PPOModule(PPOUpdate):
    """Train a policy with PPO against a reward model.

    Args:
        policy: the SFT model that the policy and the frozen reference start from: a directory, a run name or a hub id.
        reward_model: the reward model that scores, frozen, and that the critic starts from.
        reward_ensemble: further reward models; the reward is then the mean of all centred scores.
        kl_coef: weight of the per-token KL penalty; with kl_target, where it begins.
        kl_kind: its estimator: k1, k2 or k3 (Schulman, "Approximating KL divergence").
        kl_target: KL to come to, in nats per answer, by moving kl_coef after each rollout (Ziegler et al. 2019, section 2.2);
            null keeps kl_coef.
        gamma: discount per token.
        gae_lambda: GAE's lambda.
        clip_range: the policy ratio's clip range.
        value_clip_range: the value's clip range, in units of the reward.
        vf_coef: weight of the value loss.
        ppo_epochs: passes over each rollout.
        minibatch_size: answers per optimizer step and rank.
        gradient_accumulation: parts that a minibatch is computed in, one after the other; memory falls, the gradient stays.
        target_kl: end a rollout's update when its policy has gone 1.5 times as far from the rollout's, in nats per token; null
            never does.
        learning_rate: AdamW's rate for the policy.
        critic_learning_rate: AdamW's rate for the critic.
        max_grad_norm: gradients are scaled down to this norm.
        temperature: sampling temperature; log-probabilities are taken at it everywhere.
        max_new_tokens: length limit of answers, in tokens.
        stop_tokens: tokens besides EOS that end an answer, as they stand in the tokenizer's vocabulary; null takes the
            policy's own.
        missing_eos_penalty: subtracted from the score of answers that did not end by themselves.
        length_penalty: subtracted from the score for each token of an answer.
        disagreement_coef: subtracted from the score for each standard deviation between the reward models of an ensemble.
        scale_reward: divide the centred score by its spread on held-out answers, so that kl_coef means the same under
            reward models of any logit scale.
        packing: run the roles on real tokens alone, and on prefixes that answers share once; false pads every answer to the longest.
    """

    stage: ClassVar[str] = "ppo"

    def __init__(
        self,
        policy: ModelSource = ModelSource("sft_lora16"),  # noqa: B008 - a str, never changed
        reward_model: ModelSource = ModelSource("rm_lora16"),  # noqa: B008 - a str, never changed
        reward_ensemble: list[ModelSource] | None = None,
        kl_coef: float = 0.1,
        kl_kind: str = "k1",
        kl_target: float | None = None,
        gamma: float = 1.0,
        gae_lambda: float = 0.95,
        clip_range: float = 0.2,
        value_clip_range: float = 0.2,
        vf_coef: float = 1.0,
        ppo_epochs: int = 4,
        minibatch_size: int = 16,
        gradient_accumulation: int = 1,
        target_kl: float | None = None,
        learning_rate: float = 1e-5,
        critic_learning_rate: float = 1e-5,
        max_grad_norm: float = 1.0,
        temperature: float = 1.0,
        max_new_tokens: int = 128,
        stop_tokens: list[str] | None = None,
        missing_eos_penalty: float = 1.0,
        length_penalty: float = 0.0,
        disagreement_coef: float = 0.0,
        scale_reward: bool = True,
        packing: bool = True,
    ) -> None:
        super().__init__(max_new_tokens, stop_tokens)
        self.automatic_optimization = False
        self.policy = policy
        self.reward_model = reward_model
        self.reward_ensemble = list(reward_ensemble or [])
        self.kl_coef = kl_coef
        self.kl_kind = kl_kind
        self.kl_target = kl_target
        self.gamma = gamma
        self.gae_lambda = gae_lambda
        self.clip_range = clip_range
        self.value_clip_range = value_clip_range
        self.vf_coef = vf_coef
        self.ppo_epochs = ppo_epochs
        self.minibatch_size = minibatch_size
        self.gradient_accumulation = gradient_accumulation
        self.target_kl = target_kl
        self.learning_rate = learning_rate
        self.critic_learning_rate = critic_learning_rate
        self.max_grad_norm = max_grad_norm
        self.temperature = temperature
        self.missing_eos_penalty = missing_eos_penalty
        self.length_penalty = length_penalty
        self.disagreement_coef = disagreement_coef
        self.scale_reward = scale_reward
        self.packing = packing
        self.checked = False
        self._sampler: torch.Generator | None = None
        check_ppo_options(self)

    # Models

    def sources(self) -> dict[str, str]:
        """Name the SFT model and the reward models."""
        more = {f"model.reward_ensemble[{place}]": source for place, source in enumerate(self.reward_ensemble)}
        return {"model.policy": self.policy, "model.reward_model": self.reward_model, **more}

    def configure_model(self) -> None:
        """Load all roles; those with adapters on the same base share it."""
        if self._roles:
            return
        validates = self.trained_export is not None and self.trainer.state.fn == TrainerFn.VALIDATING
        if not validates and self.load_trained("policy"):
            return
        policy, *reward_models = (model_folder(field, source) for field, source in self.sources().items())
        named = dict(zip(list(self.sources())[1:], reward_models, strict=True))
        self.roles = load_roles(
            PPOSources(self.trained_export or policy, policy, named), self.tokenizer, self.scale_reward
        )
        for role in self.roles.all():
            self.adopt(role)
        frozen = [self.roles.reference, *(model.role for model in self.roles.reward_models)]
        train_only(self, [self.roles.policy, self.roles.critic], frozen)

    def longest_rows(self, data: Any) -> dict[str, int]:
        """Return the longest prompt with its answer and the EOS that reward models read after a cut one."""
        return self.longest_answer(data, more=1)

    def on_fit_start(self) -> None:
        """Check that the longest answer fits, and say what the roles hold in memory."""
        super().on_fit_start()
        table = memory_table(self.roles.all())
        if self.trainer.is_global_zero:
            sys.stderr.write(f"kochat: models in memory\n{table}\n")
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text("ppo/memory", table)

    def train(self, mode: bool = True) -> PPOModule:
        """Keep every role in eval mode: dropout would make the ratio differ from 1 before the first step."""
        return super().train(False)

    # One step: rollout -> advantages -> update -> log

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Roll out on a batch of prompts and update policy and critic on it."""
        if not self.checked:
            self.check_before_training(batch)
        rollout = self.rollout(batch, self._rank_sampler())
        self.tokens_read += rollout.sequence_mask.sum()
        targets = self.targets(rollout)
        losses = self.update(rollout, targets)
        self.log_rollout(rollout, targets, losses)
        self.adapt_kl_coef(rollout, targets)
        self.lr_schedulers().step()  # type: ignore[union-attr]

    def check_before_training(self, batch: dict[str, Any]) -> None:
        """Stop before the first step where a role would make ratio, KL or reward wrong."""
        check_roles(
            self.roles,
            batch["input_ids"],
            self.prompt_mask(batch),
            self.generation_settings(self.temperature),
            tolerance(self.trainer.precision),
            at_start=self.trainer.global_step == 0,
            packing=self.packing,
        )
        self.checked = True

    def rollout(self, batch: dict[str, Any], generator: torch.Generator | None) -> Rollout:
        """Sample answers and score them with all roles."""
        settings = self.generation_settings(self.temperature)
        return collect(self.roles, batch["input_ids"], self.prompt_mask(batch), settings, generator, self.packing)

    def targets(self, rollout: Rollout) -> Targets:
        """Turn scores and KL into advantages (whitened over all ranks) and returns."""
        settings = RewardSettings(
            self.kl_coef,
            self.kl_kind,
            self.gamma,
            self.gae_lambda,
            self.missing_eos_penalty,
            self.length_penalty,
            self.disagreement_coef,
        )
        return make_targets(rollout, settings, self.whiten)

    def whiten(self, advantages: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Whiten with the mean and variance over all ranks, so that two ranks equal one."""
        count = self.global_sum(mask.sum()).clamp(min=1)
        mean = self.global_sum(masked_mean(advantages, mask, num_tokens=count))
        variance = self.global_sum(masked_mean((advantages - mean) ** 2, mask, num_tokens=count))
        return masked_whiten(advantages, mask, mean=mean, variance=variance)

    def adapt_kl_coef(self, rollout: Rollout, targets: Targets) -> None:
        """Move kl_coef towards kl_target, alike on all ranks."""
        if self.kl_target is not None:
            answers = self.global_sum(torch.tensor(len(rollout.scores), device=self.device))
            kl = self.global_sum(targets.kl.sum()) / answers
            self.kl_coef = adapted_kl_coef(self.kl_coef, float(kl), self.kl_target)

    def log_rollout(self, rollout: Rollout, targets: Targets, losses: dict[str, float]) -> None:
        """Log what docs/metrics.md defines: means over all answers, or over all generated tokens, of all ranks."""
        answers = self.token_share(torch.ones_like(rollout.stopped))
        tokens = self.token_share(rollout.mask)
        by_answer = {
            "reward": targets.scores,
            "raw_score": rollout.raw_scores,
            "centred_score": rollout.scores,
            "reward_disagreement": rollout.disagreement,
            "kl_sequence": targets.kl.sum(1),
            "response_length": rollout.mask.sum(1),
            "stopped": rollout.stopped,
        }
        quantities = {name: value.float().sum() / answers for name, value in by_answer.items()}
        quantities |= {
            "kl": masked_mean(targets.kl, rollout.mask, num_tokens=tokens),
            "value": masked_mean(rollout.values, rollout.mask, num_tokens=tokens),
            "entropy": masked_mean(rollout.entropy, rollout.mask, num_tokens=tokens),
            "kl_coef": torch.tensor(self.kl_coef, device=self.device),
        }
        for name, value in (losses | quantities).items():
            self.log(f"ppo/{name}", value, sync_dist=True, batch_size=1, prog_bar=name in ("reward", "kl"))

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

    # Checkpoints and export

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what is trained, and the KL's weight where it moves."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["kl_coef"] = self.kl_coef

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the KL's weight where it had come to; a fixed one is the config's."""
        if self.kl_target is not None:
            self.kl_coef = checkpoint["kl_coef"]

    def export(self, folder: Path) -> None:
        """Write the policy: one adapter on the original base, or a whole causal LM."""
        source = model_folder("model.policy", self.policy)
        role = self.role("policy")
        base = adapter_base(source) if is_adapter(source) else str(source)
        info = export_info(self.stage, base, role.base_digest, self.tokenizer, stop_tokens=self.stop_tokens)
        write_export(role, self.tokenizer, folder, info)

"""The options of PPO in four groups: sampling, reward, KL, optimisation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from kochat.config_types import ModelSource
from kochat.engine.common_options import AnswerOptions
from kochat.errors import UserError
from kochat.option_fields import Options, count, positive, share, target, weight, whole


@dataclass(kw_only=True)
class SamplingOptions(AnswerOptions):
    """How the policy answers in a rollout.

    Args:
        policy: the SFT model that the policy and the frozen reference start from: a directory, a run name or a hub id.
        temperature: sampling temperature, above 0; all log-probabilities are computed at this temperature.
    """

    policy: ModelSource = ModelSource("sft_lora16")
    temperature: float = 1.0

    def check(self) -> None:
        """Refuse a temperature at which nothing can be sampled."""
        super().check()
        if not 0 < self.temperature < math.inf:
            raise UserError(
                f"model.temperature={self.temperature} draws nothing; PPO needs a temperature above 0, such as 1.0"
            )


@dataclass(kw_only=True)
class RewardOptions(Options):
    """How the reward of an answer is computed.

    Args:
        reward_model: the frozen reward model that scores answers; the critic starts from it too.
        reward_ensemble: further reward models; the reward is then the mean of all centred scores.
        reward_unit: what the centred score is divided by: per_prompt, the standard deviation of the SFT model's own
            answers to one prompt, measured before the first update; held_out, that of all held-out answers; raw, nothing.
        unit_prompts: validation prompts on which per_prompt is measured.
        unit_samples: answers to each of these prompts, 2 or more.
        test_samples: answers that are sampled for each test prompt after training.
        missing_eos_penalty: subtracted from the score of answers without a stop token.
        length_penalty: subtracted from the score for each token of an answer.
        disagreement_coef: subtracted from the score, times the standard deviation between the ensemble's centred scores.
    """

    reward_model: ModelSource = ModelSource("rm_lora16")
    reward_ensemble: list[ModelSource] = field(default_factory=list)
    reward_unit: Literal["per_prompt", "held_out", "raw"] = "per_prompt"
    unit_prompts: int = count(64)
    unit_samples: int = count(8)
    test_samples: int = count(4)
    missing_eos_penalty: float = weight(1.0)
    length_penalty: float = weight(0.0)
    disagreement_coef: float = weight(0.0)

    def check(self) -> None:
        """Refuse an unknown unit, one answer a prompt for a standard deviation, and a penalty on disagreement without an ensemble."""
        super().check()
        if self.reward_unit not in ("per_prompt", "held_out", "raw"):
            raise UserError(
                f"model.reward_unit={self.reward_unit!r} is no unit; choose one of per_prompt, held_out, raw"
            )
        if self.unit_samples < 2:
            raise UserError(f"model.unit_samples={self.unit_samples} has no standard deviation; give 2 or more")
        if self.disagreement_coef and not self.reward_ensemble:
            raise UserError(
                f"model.disagreement_coef={self.disagreement_coef} needs several reward models; give model.reward_ensemble"
            )


@dataclass(kw_only=True)
class KLOptions(Options):
    """The penalty for moving away from the SFT model.

    Args:
        kl_coef: weight of the per-token KL penalty, in units of the reward (reward_unit) per nat; with kl_target, its start value.
        kl_kind: the KL estimator: k1, k2 or k3 (Schulman, "Approximating KL divergence").
        kl_target: target KL in nats per answer; the weight is adapted after each rollout (Ziegler et al. 2019, section
            2.2); null keeps kl_coef fixed.
    """

    kl_coef: float = weight(0.1)
    kl_kind: Literal["k1", "k2", "k3"] = "k1"
    kl_target: float | None = target()

    def check(self) -> None:
        """Refuse an unknown estimator, and an adaptive weight that starts at 0."""
        super().check()
        if self.kl_kind not in ("k1", "k2", "k3"):
            raise UserError(f"model.kl_kind={self.kl_kind!r} is no KL estimator; choose one of k1, k2, k3")
        if self.kl_target is not None and not self.kl_coef:
            raise UserError("model.kl_coef=0 never moves towards kl_target, which multiplies it; give a number above 0")


@dataclass(kw_only=True)
class OptimisationOptions(Options):
    """How policy and critic are updated on a rollout.

    Args:
        gamma: discount per token.
        gae_lambda: GAE's lambda.
        clip_range: the policy ratio's clip range.
        value_clip_range: the value's clip range, in units of the reward.
        vf_coef: weight of the value loss.
        ppo_epochs: passes over each rollout.
        minibatch_size: answers per optimizer step and rank.
        gradient_accumulation: number of parts of a minibatch, computed one after the other; saves memory, the gradient is the same.
        target_kl: end the update of a rollout when KL(old policy, policy) exceeds 1.5 times this, in nats per token;
            null never does.
        learning_rate: AdamW's peak rate for the policy.
        critic_learning_rate: AdamW's peak rate for the critic.
        warmup: share of the run, 0 to 1, in which the rates rise linearly before they fall linearly to 0.
        critic_warmup: rollouts at the start that train the critic alone; at most half of the run's rollouts.
        max_grad_norm: a gradient with a larger norm is scaled down to this norm, for policy and critic apart.
        unpad: run the roles without padding, and only once on a shared prefix; false pads every row to the longest.
    """

    gamma: float = share(1.0)
    gae_lambda: float = share(0.95)
    clip_range: float = positive(0.2)
    value_clip_range: float = positive(0.2)
    vf_coef: float = weight(1.0)
    ppo_epochs: int = count(4)
    minibatch_size: int = count(16)
    gradient_accumulation: int = count(1)
    target_kl: float | None = target()
    learning_rate: float = weight(1e-5)
    critic_learning_rate: float = weight(1e-5)
    warmup: float = share(0.1)
    critic_warmup: int = whole(2)
    max_grad_norm: float = positive(1.0)
    unpad: bool = True

    def check(self) -> None:
        """Refuse more parts than a minibatch has answers."""
        super().check()
        if self.gradient_accumulation > self.minibatch_size:
            raise UserError(
                f"model.gradient_accumulation={self.gradient_accumulation} is more than minibatch_size={self.minibatch_size} answers; "
                "lower it"
            )


@dataclass(kw_only=True)
class PPOOptions(OptimisationOptions, KLOptions, RewardOptions, SamplingOptions):
    """All options of PPO."""

    def sources(self) -> dict[str, str]:
        """Return the models that PPO starts from: config field -> model; the policy first, then the reward models."""
        more = {f"model.reward_ensemble[{place}]": source for place, source in enumerate(self.reward_ensemble)}
        return {"model.policy": self.policy, "model.reward_model": self.reward_model, **more}

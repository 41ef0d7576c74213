"""Refuse PPO options that cannot be meant, before a weight is loaded."""

from __future__ import annotations

import math
from typing import Any

from kochat.errors import UserError
from kochat.functional.kl import KL_KINDS

_AT_LEAST_ONE = ("ppo_epochs", "minibatch_size", "gradient_accumulation")
_NOT_NEGATIVE = (
    "kl_coef",
    "vf_coef",
    "learning_rate",
    "critic_learning_rate",
    "missing_eos_penalty",
    "length_penalty",
    "disagreement_coef",
)
_ABOVE_ZERO = ("clip_range", "value_clip_range", "max_grad_norm", "kl_target", "target_kl")
_SHARES = ("gamma", "gae_lambda")


def check_ppo_options(module: Any) -> None:
    """Raise UserError for the first option out of its range, naming it, its value and what to give."""
    if not 0 < module.temperature < math.inf:
        raise UserError(
            f"model.temperature={module.temperature} draws nothing; PPO needs a temperature above 0, such as 1.0"
        )
    if module.kl_kind not in KL_KINDS:
        raise UserError(f"model.kl_kind={module.kl_kind!r} is no KL estimator; choose one of {', '.join(KL_KINDS)}")
    for names, fits, remedy in (
        (_AT_LEAST_ONE, lambda value: value >= 1, "is too small; give 1 or more"),
        (_NOT_NEGATIVE, lambda value: 0 <= value < math.inf, "is no such weight or rate; give 0 or more"),
        (_ABOVE_ZERO, lambda value: value > 0, "leaves nothing; give a number above 0"),
        (("kl_target", "target_kl"), math.isfinite, "is no target; give nats, or null for none"),
        (_SHARES, lambda value: 0 <= value <= 1, "is no share; give 0 to 1"),
    ):
        for name in names:
            value = getattr(module, name)
            if value is not None and not fits(value):
                raise UserError(f"model.{name}={value} {remedy}")
    if module.gradient_accumulation > module.minibatch_size:
        raise UserError(
            f"model.gradient_accumulation={module.gradient_accumulation} is more than minibatch_size={module.minibatch_size} answers; "
            "lower it"
        )
    if module.kl_target is not None and not module.kl_coef:
        raise UserError("model.kl_coef=0 never moves towards kl_target, which multiplies it; give a number above 0")
    if module.disagreement_coef and not module.reward_ensemble:
        raise UserError(
            f"model.disagreement_coef={module.disagreement_coef} needs several reward models; give model.reward_ensemble"
        )

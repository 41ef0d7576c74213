"""Load the models of a PPO run, and refuse models that do not fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from kochat.engine.inputs import Inputs
from kochat.errors import UserError
from kochat.nn.exports import read_info
from kochat.nn.role_loading import HostPool
from kochat.nn.roles import Role
from kochat.rewards.model_checks import check_reward_model, check_template
from kochat.rewards.reward_models import RewardModel, export_centring, load_reward_model
from kochat.runs import DONE_FILE, read_done
from kochat.stages.ppo import UNIT_METRIC
from kochat.stages.ppo.options import PPOOptions


@dataclass(frozen=True)
class PPORoles:
    """The models of a PPO run.

    Args:
        policy: the language model that is trained.
        reference: the frozen SFT model from which the policy starts.
        critic: the value model that is trained.
        reward_models: the frozen reward models; with more than one the reward is the mean of their centred scores.
    """

    policy: Role
    reference: Role
    critic: Role
    reward_models: tuple[RewardModel, ...]

    def all(self) -> list[Role]:
        """List every role."""
        return [self.policy, self.reference, self.critic, *(model.role for model in self.reward_models)]

    def trained(self) -> list[Role]:
        """List the roles that are trained."""
        return [self.policy, self.critic]

    def frozen(self) -> list[Role]:
        """List the roles that are never trained."""
        return [self.reference, *(model.role for model in self.reward_models)]

    @property
    def unit(self) -> float:
        """The unit of the reward, in raw scores of the first reward model."""
        return self.reward_models[0].centring.std

    def in_unit(self, unit: float) -> PPORoles:
        """Return the roles with another unit of the reward, in raw scores of the first reward model; the others scale with it."""
        factor = unit / self.unit
        models = [
            replace(model, centring=replace(model.centring, std=model.centring.std * factor))
            for model in self.reward_models
        ]
        return replace(self, reward_models=tuple(models))


@dataclass(frozen=True)
class PPOSources:
    """The local folders from which the roles are loaded.

    Args:
        policy: the SFT model, or an already trained policy.
        reference: the SFT model.
        reward_models: config field -> reward model; the critic starts from the first.
    """

    policy: Path
    reference: Path
    reward_models: dict[str, Path]


def find_sources(inputs: Inputs, named: dict[str, str]) -> PPOSources:
    """Find the folders of a run's models.

    Args:
        inputs: where models are looked up; an already trained policy is used instead of the SFT model as policy.
        named: config field -> model, from `PPOOptions.sources`.

    Raises:
        UserError: a model is missing; the message names its field.
    """
    folders = {field: inputs.folder(field, value) for field, value in named.items()}
    reference = folders.pop("model.policy")
    return PPOSources(inputs.trained or reference, reference, folders)


def load_run_roles(inputs: Inputs, options: PPOOptions, tokenizer: PreTrainedTokenizerFast) -> PPORoles:
    """Load all roles of a run; a finished run's reward has the unit with which it was trained.

    Args:
        inputs: where models are looked up, and the finished run, if there is one.
        options: the run's options.
        tokenizer: the tokenizer of the policy.

    Raises:
        UserError: a model is missing or does not fit; or the finished run recorded no unit.
    """
    unit = None if inputs.trained is None else trained_unit(inputs.trained)
    roles = load_roles(find_sources(inputs, options.sources()), tokenizer, scaled=options.reward_unit != "raw")
    return roles if unit is None else roles.in_unit(unit)


def trained_unit(export: Path) -> float:
    """Return the unit of the reward of the finished run that wrote ``export``, in raw scores of the first reward model.

    Raises:
        UserError: the run recorded none.
    """
    unit = (
        read_done(export.parent).get("metrics", {}).get(UNIT_METRIC) if (export.parent / DONE_FILE).is_file() else None
    )
    if unit is None:
        raise UserError(f"{export.parent}: {DONE_FILE} has no {UNIT_METRIC}, the unit of its reward; train it again")
    return unit


def load_roles(sources: PPOSources, tokenizer: PreTrainedTokenizerFast, *, scaled: bool) -> PPORoles:
    """Load all roles; roles whose adapters have the same base share it in memory.

    Args:
        sources: the folders of the models.
        tokenizer: the tokenizer of the policy.
        scaled: divide centred scores by their held-out spread.

    Raises:
        UserError: a model is missing, has the wrong kind, or was trained with another tokenizer or template.
    """
    check_template("model.policy", sources.reference, read_info(sources.reference))
    for field, folder in sources.reward_models.items():
        check_reward_model(field, folder, tokenizer)
    pool = HostPool()
    policy = pool.load("policy", sources.policy)
    reference = pool.load("reference", sources.reference)
    reward_models = []
    for number, (field, folder) in enumerate(sources.reward_models.items()):
        name = f"reward_model_{number}" if number else "reward_model"
        centring = export_centring(field, folder, scale=scaled)
        reward_models.append(load_reward_model(pool, name, folder, centring))
    critic = pool.load("critic", next(iter(sources.reward_models.values())), value=True)
    critic.head = critic.head.with_bias()  # type: ignore[union-attr]
    return PPORoles(policy, reference, critic, tuple(reward_models))


def train_only(module: torch.nn.Module, trained: Sequence[Role], frozen: Sequence[Role]) -> None:
    """Make the parameters of the ``trained`` roles trainable and freeze all others.

    Raises:
        RuntimeError: a frozen role shares a parameter with a trained one.
    """
    module.requires_grad_(False)
    for parameter in (parameter for role in trained for parameter in role.parameters()):
        parameter.requires_grad_(True)
    if any(parameter.requires_grad for role in frozen for parameter in role.parameters()):
        raise RuntimeError("a frozen role shares parameters with a trained one")

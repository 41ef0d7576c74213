"""Load the models of a PPO run, and refuse models that do not fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from kochat.engine.inputs import Inputs
from kochat.nn.exports import read_info
from kochat.nn.role_loading import HostPool
from kochat.nn.roles import Role
from kochat.rewards.model_checks import check_reward_model, check_template
from kochat.rewards.reward_models import RewardModel, export_centring, load_reward_model


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

    def frozen(self) -> list[Role]:
        """List the roles that are never trained."""
        return [self.reference, *(model.role for model in self.reward_models)]


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


def load_roles(sources: PPOSources, tokenizer: PreTrainedTokenizerFast, *, scale_reward: bool) -> PPORoles:
    """Load all roles; roles whose adapters have the same base share it in memory.

    Args:
        sources: the folders of the models.
        tokenizer: the tokenizer of the policy.
        scale_reward: divide centred scores by their held-out spread.

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
        centring = export_centring(field, folder, scale=scale_reward)
        reward_models.append(load_reward_model(pool, name, folder, centring))
    first = reward_models[0].centring
    critic = pool.load("critic", next(iter(sources.reward_models.values())), value=True)
    critic.head = critic.head.rescaled(first.mean, first.std)  # type: ignore[union-attr]
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

"""The models of a PPO run: load them, and refuse those that do not belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from kochat.engine.inputs import Inputs
from kochat.errors import UserError
from kochat.nn.exports import ExportInfo, read_info, template_digest
from kochat.nn.role_loading import HostPool
from kochat.nn.roles import Role
from kochat.nn.tokenizers import load_tokenizer
from kochat.rewards.reward_models import RewardModel, export_centring, load_reward_model
from kochat.text.tokenizer_identity import tokenizer_digest


@dataclass(frozen=True)
class PPORoles:
    """The models of a PPO run.

    Args:
        policy: the language model that is trained.
        reference: the frozen SFT model that the policy began as.
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
    """Where the roles come from, all local folders.

    Args:
        policy: what the policy starts from: the SFT model, or a policy that was trained.
        reference: the SFT model.
        reward_models: the reward models by the config's field; the critic starts as the first.
    """

    policy: Path
    reference: Path
    reward_models: dict[str, Path]


def find_sources(inputs: Inputs, named: dict[str, str]) -> PPOSources:
    """Find the folders of a run's models.

    Args:
        inputs: where models are looked up; a policy that was trained already takes the SFT model's place as policy.
        named: the models by the config's field, as `PPOOptions.sources` gives them.

    Raises:
        UserError: naming the field of a model that is not there.
    """
    folders = {field: inputs.folder(field, value) for field, value in named.items()}
    reference = folders.pop("model.policy")
    return PPOSources(inputs.trained or reference, reference, folders)


def load_roles(sources: PPOSources, tokenizer: PreTrainedTokenizerFast, *, scale_reward: bool) -> PPORoles:
    """Load all roles; those whose adapters sit on one base share it in memory.

    Args:
        sources: where they come from.
        tokenizer: the policy's.
        scale_reward: divide centred scores by their held-out spread.

    Raises:
        UserError: when a model is missing, is not what its place needs, or was trained on another tokenizer or template.
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


def check_reward_model(field: str, folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Refuse a reward model of another tokenizer or prompt template than the policy's: it would score noise."""
    info = read_info(folder)
    digest = info.tokenizer if info is not None else tokenizer_digest(load_tokenizer(folder))
    if digest != tokenizer_digest(tokenizer):
        raise UserError(f"{field}: {folder} uses another tokenizer than model.policy; train both on one base")
    check_template(field, folder, info)


def check_template(field: str, folder: Path, info: ExportInfo | None) -> None:
    """Refuse a model that kochat trained with another prompt template than today's."""
    if info is not None and info.template != template_digest():
        raise UserError(f"{field}: {folder} was trained with another prompt template; train it again")


def train_only(module: torch.nn.Module, trained: Sequence[Role], frozen: Sequence[Role]) -> None:
    """Make the own parameters of ``trained`` roles trainable and freeze everything else.

    Raises:
        RuntimeError: when a frozen role shares a parameter with a trained one.
    """
    module.requires_grad_(False)
    for parameter in (parameter for role in trained for parameter in role.parameters()):
        parameter.requires_grad_(True)
    if any(parameter.requires_grad for role in frozen for parameter in role.parameters()):
        raise RuntimeError("a frozen role shares parameters with a trained one")

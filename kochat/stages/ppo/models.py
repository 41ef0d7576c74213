"""Load the roles of a PPO run, and refuse those that do not belong together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from kochat.errors import UserError
from kochat.nn.exports import ExportInfo, read_info, template_digest
from kochat.nn.role_loading import HostPool
from kochat.nn.roles import Role
from kochat.nn.tokenizers import load_tokenizer
from kochat.stages.ppo.ppo_roles import PPORoles, RewardModel
from kochat.text.tokenizer_identity import tokenizer_digest


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


def load_roles(sources: PPOSources, tokenizer: PreTrainedTokenizerFast, scale: bool) -> PPORoles:
    """Load all roles; those whose adapters sit on one base share it in memory.

    Args:
        sources: where they come from.
        tokenizer: the policy's.
        scale: divide centred scores by their held-out spread.

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
    for number, folder in enumerate(sources.reward_models.values()):
        role = pool.load(f"reward_model_{number}" if number else "reward_model", folder, value=True)
        reward_models.append(RewardModel(role, *reward_statistics(read_info(folder), scale)))
    first = reward_models[0]
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
    if info is not None and (info.reward_mean is None or info.reward_std is None):
        raise UserError(
            f"{field}: {folder} was exported without a validation, so nothing says where its scores have their 0; train it again "
            "with trainer.limit_val_batches above 0"
        )


def check_template(field: str, folder: Path, info: ExportInfo | None) -> None:
    """Refuse a model that kochat trained with another prompt template than today's."""
    if info is not None and info.template != template_digest():
        raise UserError(f"{field}: {folder} was trained with another prompt template; train it again")


def reward_statistics(info: ExportInfo | None, scale: bool) -> tuple[float, float]:
    """Return (mean, spread) by which scores are centred; (0, 1), with a warning, for reward models that kochat did not make."""
    if info is None or info.reward_mean is None or info.reward_std is None:
        warnings.warn(
            "the reward model's scores are taken as they are: kochat did not make it, and nothing centres them",
            stacklevel=2,
        )
        return 0.0, 1.0
    return info.reward_mean, info.reward_std if scale else 1.0


def train_only(module: torch.nn.Module, trained: Sequence[Role], frozen: Sequence[Role]) -> None:
    """Make the own parameters of ``trained`` roles trainable and freeze everything else."""
    module.requires_grad_(False)
    for parameter in (parameter for role in trained for parameter in role.parameters()):
        parameter.requires_grad_(True)
    if any(parameter.requires_grad for role in frozen for parameter in role.parameters()):
        raise RuntimeError("a frozen role shares parameters with a trained one")

"""Load reward models: a frozen value role and the centring of its scores."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from kochat.errors import UserError
from kochat.nn.exports import read_info
from kochat.nn.role_loading import HostPool
from kochat.nn.roles import Role
from kochat.nn.rows import Rows, last_scores
from kochat.rewards.centring import Centring, centring_of


@dataclass(frozen=True)
class RewardModel:
    """A frozen reward model.

    Args:
        role: the model.
        centring: the centring of its scores.
    """

    role: Role
    centring: Centring

    def raw_scores(self, rows: Rows) -> torch.Tensor:
        """Return the raw score of each row, read at its last real token as in training, (b,) float32."""
        return last_scores(self.role, rows)


def load_reward_model(pool: HostPool, name: str, folder: Path, centring: Centring) -> RewardModel:
    """Load a reward model's export; an adapter shares its base with the models in the pool."""
    return RewardModel(pool.load(name, folder, value=True), centring)


def export_centring(field: str, folder: Path, *, scale: bool = True) -> Centring:
    """Return the centring of a reward model's export.

    Args:
        field: the config field of the model, for error messages.
        folder: the export.
        scale: False does not divide by the standard deviation.

    Returns:
        The centring of the export. For a model that kochat did not train it changes nothing, and a warning is given.

    Raises:
        UserError: kochat trained the model, but without a validation that measured its scores.
    """
    info = read_info(folder)
    if info is None:
        warnings.warn(
            "the reward model's scores are taken as they are: kochat did not make it, and nothing centres them",
            stacklevel=2,
        )
        return Centring()
    centring = centring_of(info.reward_mean, info.reward_std)
    if centring is None:
        raise UserError(
            f"{field}: {folder} was exported without a validation, so nothing says where its scores have their 0; train it again "
            "with trainer.limit_val_batches above 0"
        )
    return centring if scale else Centring(centring.mean)

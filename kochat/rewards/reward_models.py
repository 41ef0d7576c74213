"""Reward models as rewards: a frozen value role, and the centring that gives its scores a zero and a unit."""

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
        centring: the zero and the unit of its scores.
    """

    role: Role
    centring: Centring

    def raw_scores(self, rows: Rows) -> torch.Tensor:
        """Return the model's score at each row's last real token, where it was trained to be read, (b,) float32."""
        return last_scores(self.role, rows)


def load_reward_model(pool: HostPool, name: str, folder: Path, centring: Centring) -> RewardModel:
    """Load a reward model's export; one that is an adapter shares its base with what is in the pool."""
    return RewardModel(pool.load(name, folder, value=True), centring)


def export_centring(field: str, folder: Path, *, scale: bool = True) -> Centring:
    """Return the centring of a reward model's export.

    Args:
        field: the config's field that names the model, for messages.
        folder: the export.
        scale: False leaves the unit of the scores as it is.

    Returns:
        The export's own centring. Scores of a model that kochat did not make are taken as they are, with a warning.

    Raises:
        UserError: when kochat made the model and no validation measured its scores.
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

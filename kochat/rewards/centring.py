"""Centre and scale the scores of a reward model.

A ranking loss does not fix the constant and the scale of the scores. Here 0 is the mean score of held-out
demonstrations (Stiennon et al. 2020, arXiv:2009.01325, section 3.4), and 1 is one standard deviation of the scores of
held-out answers above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

Scores = TypeVar("Scores", bound=Any)  # a float, an array or a tensor


@dataclass(frozen=True)
class Centring:
    """The mean and standard deviation that centre a reward model's raw scores.

    Args:
        mean: the raw score that becomes 0.
        std: the raw score ``mean + std`` becomes 1; above 0.
    """

    mean: float = 0.0
    std: float = 1.0

    def __call__(self, raw: Scores) -> Scores:
        """Return (raw - mean) / std, in the shape of ``raw``."""
        return (raw - self.mean) / self.std


def centring_of(reward_mean: float | None, reward_std: float | None) -> Centring | None:
    """Return the centring with these statistics of an export, or None if one of them is missing."""
    return None if reward_mean is None or reward_std is None else Centring(reward_mean, reward_std)

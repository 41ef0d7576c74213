"""Give the scores of a reward model a fixed zero and unit.

A ranking loss leaves a constant and a scale free. The zero is the mean score of held-out demonstrations (Stiennon et al. 2020,
arXiv:2009.01325, section 3.4), the unit the spread of scores on held-out answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

Scores = TypeVar("Scores", bound=Any)  # a float, an array or a tensor


@dataclass(frozen=True)
class Centring:
    """Where a reward model's raw scores have their 0 and their 1.

    Args:
        mean: raw score that becomes 0.
        std: by how much a raw score must lie above ``mean`` to become 1; above 0.
    """

    mean: float = 0.0
    std: float = 1.0

    def __call__(self, raw: Scores) -> Scores:
        """Return (raw - mean) / std, in the shape of ``raw``."""
        return (raw - self.mean) / self.std


def centring_of(reward_mean: float | None, reward_std: float | None) -> Centring | None:
    """Return the centring that an export's statistics give, or None where one of them was not kept."""
    return None if reward_mean is None or reward_std is None else Centring(reward_mean, reward_std)

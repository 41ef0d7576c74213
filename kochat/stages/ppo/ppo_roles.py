"""PPO's roles: policy, reference, critic, and the reward models with what centres their scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kochat.nn.roles import Role


@dataclass(frozen=True)
class RewardModel:
    """A frozen reward model and the figures that fix its level and scale, which a ranking loss leaves free.

    Args:
        role: the model.
        mean: raw score that becomes 0; that of the demonstrations.
        std: raw score that becomes 1 above it.
    """

    role: Role
    mean: float = 0.0
    std: float = 1.0

    def centred(self, scores: torch.Tensor) -> torch.Tensor:
        """Return (scores - mean) / std."""
        return (scores - self.mean) / self.std


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

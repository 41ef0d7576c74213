"""Rollouts: generate answers, collect what PPO needs to know about them, and make its targets."""

from kochat.rollout.collect import Rollout, collect, response_logprobs, response_values
from kochat.rollout.generate import Generation, GenerationSettings, decode, generate
from kochat.rollout.roles import PPORoles, RewardModel
from kochat.rollout.targets import RewardSettings, Targets, make_targets

__all__ = [
    "Generation",
    "GenerationSettings",
    "PPORoles",
    "RewardModel",
    "RewardSettings",
    "Rollout",
    "Targets",
    "collect",
    "decode",
    "generate",
    "make_targets",
    "response_logprobs",
    "response_values",
]

"""Rollouts: generate answers, and collect what PPO needs to know about them."""

from kochat.rollout.collect import Rollout, collect, response_logprobs, response_values
from kochat.rollout.generate import Generation, GenerationSettings, decode, generate

__all__ = [
    "Generation",
    "GenerationSettings",
    "Rollout",
    "collect",
    "decode",
    "generate",
    "response_logprobs",
    "response_values",
]

"""Collect a rollout: prompts -> sampled responses, with everything that PPO's update needs to know about them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

from kochat.functional import token_logprobs
from kochat.models.roles import Role
from kochat.rollout.generate import Generation, GenerationSettings, generate


@dataclass(frozen=True)
class Rollout:
    """A batch of prompts and their sampled responses.

    Sequences are the left-padded prompt followed by the right-padded response; b rows, p + r columns.

    Args:
        sequences: (b, p + r) token ids.
        sequence_mask: (b, p + r) bool, True on prompt and response tokens.
        mask: (b, r) bool, True on response tokens, the stop token included.
        stopped: (b,) bool, True where a stop token ended the response.
        old_logprobs: (b, r) float32 nats, the policy's at sampling.
        ref_logprobs: (b, r) float32 nats, the frozen reference's.
        values: (b, r) float32, the critic's estimate before each token is chosen.
        scores: (b,) float32, the reward model's score of each whole response.
    """

    sequences: torch.Tensor
    sequence_mask: torch.Tensor
    mask: torch.Tensor
    stopped: torch.Tensor
    old_logprobs: torch.Tensor
    ref_logprobs: torch.Tensor
    values: torch.Tensor
    scores: torch.Tensor

    @property
    def prompt_width(self) -> int:
        """Return p, the padded width of the prompts."""
        return self.sequences.shape[1] - self.mask.shape[1]

    def rows(self, index: torch.Tensor) -> Rollout:
        """Return the rows ``index``."""
        return replace(self, **{field.name: getattr(self, field.name)[index] for field in fields(self)})


def response_logprobs(role: Role, sequences: torch.Tensor, mask: torch.Tensor, width: int, temperature: float):
    """Score the last ``width`` tokens of each row under a language model.

    Args:
        role: the language model.
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens.
        width: r, how many tokens at the end are the response.
        temperature: the sampling temperature; logits are divided by it, as when the tokens were drawn.

    Returns:
        (logprobs, logits): (b, r) nats and (b, r, vocab) float32. Logits are made at response positions alone.
    """
    stop = sequences.shape[1] - 1
    logits = role.forward_from(sequences, mask, stop - width, stop).float() / temperature
    return token_logprobs(logits, sequences[:, -width:]), logits


def response_values(role: Role, sequences: torch.Tensor, mask: torch.Tensor, width: int) -> torch.Tensor:
    """Return the critic's values (b, r): at each response position, seen from the token before it is chosen."""
    stop = sequences.shape[1] - 1
    return role.forward_from(sequences, mask, stop - width, stop)


@torch.no_grad()
def collect(
    policy: Role,
    reference: Role,
    critic: Role,
    reward_model: Role,
    input_ids: torch.Tensor,
    prompt_mask: torch.Tensor,
    settings: GenerationSettings,
    generator: torch.Generator | None = None,
) -> Rollout:
    """Sample responses and score them with all four roles.

    Old log-probabilities come from the same forward pass that the update uses, so that the ratio is exactly 1 before the first
    step in any precision.

    Args:
        policy: the model being trained, which samples.
        reference: the frozen SFT model.
        critic: the value model.
        reward_model: the frozen reward model; sees prompt, response and stop token, as in its training.
        input_ids: (b, p) prompts, padded on the left.
        prompt_mask: (b, p) bool, True on prompt tokens.
        settings: how to sample; the temperature must be above 0.
        generator: the random state to draw from.
    """
    generation = generate(policy, input_ids, prompt_mask, settings, generator)
    return score_generation(policy, reference, critic, reward_model, input_ids, prompt_mask, generation, settings)


@torch.no_grad()
def score_generation(
    policy: Role,
    reference: Role,
    critic: Role,
    reward_model: Role,
    input_ids: torch.Tensor,
    prompt_mask: torch.Tensor,
    generation: Generation,
    settings: GenerationSettings,
) -> Rollout:
    """Build the `Rollout` of responses that have been drawn."""
    sequences = torch.cat([input_ids, generation.responses], dim=1)
    mask = torch.cat([prompt_mask, generation.mask], dim=1)
    width = generation.responses.shape[1]
    return Rollout(
        sequences=sequences,
        sequence_mask=mask,
        mask=generation.mask,
        stopped=generation.stopped,
        old_logprobs=response_logprobs(policy, sequences, mask, width, settings.temperature)[0],
        ref_logprobs=response_logprobs(reference, sequences, mask, width, settings.temperature)[0],
        values=response_values(critic, sequences, mask, width),
        scores=reward_model.last_scores(sequences, mask),
    )

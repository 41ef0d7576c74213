"""Collect a rollout: prompts -> sampled responses, with everything that PPO's update needs to know about them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

from kochat.functional import token_logprobs
from kochat.models.roles import Role
from kochat.rollout.generate import Generation, GenerationSettings, generate
from kochat.rollout.roles import PPORoles


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
        scores: (b,) float32, centred score of each whole response, the mean over the reward models.
        raw_scores: (b,) float32, the first reward model's score as it is.
        disagreement: (b,) float32, standard deviation of the centred scores over the reward models; 0 of a single one.
    """

    sequences: torch.Tensor
    sequence_mask: torch.Tensor
    mask: torch.Tensor
    stopped: torch.Tensor
    old_logprobs: torch.Tensor
    ref_logprobs: torch.Tensor
    values: torch.Tensor
    scores: torch.Tensor
    raw_scores: torch.Tensor
    disagreement: torch.Tensor

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


def ended(sequences: torch.Tensor, mask: torch.Tensor, stopped: torch.Tensor, eos_id: int):
    """End every row with EOS, where reward models were trained to be read: in place of a stop token, behind a cut answer.

    Args:
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens.
        stopped: (b,) bool, True where the last real token is a stop token.
        eos_id: EOS.

    Returns:
        (sequences, mask): (b, t + 1).
    """
    sequences = torch.cat([sequences, sequences.new_full((len(sequences), 1), eos_id)], dim=1)
    mask = torch.cat([mask, mask.new_zeros(len(mask), 1)], dim=1)
    columns = torch.arange(mask.shape[1], device=mask.device)
    end = ((mask * columns).argmax(dim=1) + (~stopped).long()).unsqueeze(1)
    return torch.where(columns == end, eos_id, sequences), mask | (columns == end)


@torch.no_grad()
def collect(
    roles: PPORoles,
    input_ids: torch.Tensor,
    prompt_mask: torch.Tensor,
    settings: GenerationSettings,
    generator: torch.Generator | None = None,
) -> Rollout:
    """Sample responses and score them with all roles.

    Args:
        roles: the policy samples; the others score.
        input_ids: (b, p) prompts, padded on the left.
        prompt_mask: (b, p) bool, True on prompt tokens.
        settings: how to sample; the temperature must be above 0.
        generator: the random state to draw from.
    """
    generation = generate(roles.policy, input_ids, prompt_mask, settings, generator)
    return score_generation(roles, input_ids, prompt_mask, generation, settings)


@torch.no_grad()
def score_generation(
    roles: PPORoles,
    input_ids: torch.Tensor,
    prompt_mask: torch.Tensor,
    generation: Generation,
    settings: GenerationSettings,
) -> Rollout:
    """Build the `Rollout` of responses that have been drawn.

    Old log-probabilities come from the same forward pass that the update uses, so that the ratio is exactly 1 before the first
    step in any precision. The sampled ids go to every role as they are, never through text.
    """
    sequences = torch.cat([input_ids, generation.responses], dim=1)
    mask = torch.cat([prompt_mask, generation.mask], dim=1)
    width = generation.responses.shape[1]
    whole = ended(sequences, mask, generation.stopped, settings.eos_id)
    raw_scores = torch.stack([model.raw_scores(*whole) for model in roles.reward_models])
    scores = torch.stack([m.centred(raw) for m, raw in zip(roles.reward_models, raw_scores, strict=True)])
    return Rollout(
        sequences=sequences,
        sequence_mask=mask,
        mask=generation.mask,
        stopped=generation.stopped,
        old_logprobs=response_logprobs(roles.policy, sequences, mask, width, settings.temperature)[0],
        ref_logprobs=response_logprobs(roles.reference, sequences, mask, width, settings.temperature)[0],
        values=response_values(roles.critic, sequences, mask, width),
        scores=scores.mean(0),
        raw_scores=raw_scores[0],
        disagreement=scores.std(0, correction=0),
    )

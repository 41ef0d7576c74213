"""Collect a rollout: prompts -> sampled responses, with everything that PPO's update needs to know about them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

from kochat.nn.decoding import Generation, GenerationSettings, generate
from kochat.nn.roles import Role
from kochat.nn.rows import Rows, last_scores
from kochat.nn.unpadded import rows_of
from kochat.stages.ppo.ppo_roles import PPORoles


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
        entropy: (b, r) float32 nats, of the policy's distribution that each token was drawn from.
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
    entropy: torch.Tensor
    scores: torch.Tensor
    raw_scores: torch.Tensor
    disagreement: torch.Tensor

    def rows(self, index: torch.Tensor) -> Rollout:
        """Return the rows ``index``."""
        return replace(self, **{field.name: getattr(self, field.name)[index] for field in fields(self)})


def before_responses(mask: torch.Tensor, response_mask: torch.Tensor) -> torch.Tensor:
    """Mark the tokens from whose state a response token is predicted: (b, t) bool, one for each of ``response_mask`` (b, r)."""
    where = torch.zeros_like(mask)
    where[:, -response_mask.shape[1] - 1 : -1] = response_mask
    return where


def response_logprobs(role: Role, rows: Rows, response_mask: torch.Tensor, temperature: float) -> torch.Tensor:
    """Score responses, which stand at the end of the rows, under a language model.

    Args:
        role: the language model.
        rows: prompts and responses.
        response_mask: (b, r) bool, True on response tokens.
        temperature: the sampling temperature; logits are divided by it, as when the tokens were drawn.

    Returns:
        (b, r) nats, 0 in masked slots.
    """
    states, ids = _states_and_ids(role, rows, response_mask)
    return spread(role.logprobs(states, ids, temperature), response_mask)


def response_logprobs_and_entropy(
    role: Role, rows: Rows, response_mask: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `response_logprobs` does and the entropy of the distribution that each token was drawn from, without gradient."""
    states, ids = _states_and_ids(role, rows, response_mask)
    logprobs, entropy = role.logprobs_and_entropy(states, ids, temperature)
    return spread(logprobs, response_mask), spread(entropy, response_mask)


def _states_and_ids(role: Role, rows: Rows, response_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the states (n, hidden) from which the n response tokens are predicted, and their ids (n,)."""
    states = rows.states(role, before_responses(rows.mask, response_mask))
    return states, rows.sequences[:, -response_mask.shape[1] :][response_mask]


def response_values(role: Role, rows: Rows, response_mask: torch.Tensor) -> torch.Tensor:
    """Return the critic's values (b, r): at each response token, seen from the token before it; 0 in masked slots."""
    return spread(role.project(rows.states(role, before_responses(rows.mask, response_mask))), response_mask)


def spread(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Put the values (n,) of the n marked slots where they belong, 0 elsewhere: (b, r)."""
    return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)


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
    packing: bool = True,
) -> Rollout:
    """Sample responses and score them with all roles.

    Args:
        roles: the policy samples; the others score.
        input_ids: (b, p) prompts, padded on the left.
        prompt_mask: (b, p) bool, True on prompt tokens.
        settings: how to sample; the temperature must be above 0.
        generator: the random state to draw from.
        packing: run the roles without padding; see `rows_of`.
    """
    generation = generate(roles.policy, input_ids, prompt_mask, settings, generator)
    return score_generation(roles, input_ids, prompt_mask, generation, settings, packing)


@torch.no_grad()
def score_generation(
    roles: PPORoles,
    input_ids: torch.Tensor,
    prompt_mask: torch.Tensor,
    generation: Generation,
    settings: GenerationSettings,
    packing: bool = True,
) -> Rollout:
    """Build the `Rollout` of responses that have been drawn.

    Old log-probabilities come from the same forward pass that the update uses, so that the ratio is exactly 1 before the first
    step in any precision. The sampled ids go to every role as they are, never through text.
    """
    sequences = torch.cat([input_ids, generation.responses], dim=1)
    mask = torch.cat([prompt_mask, generation.mask], dim=1)
    rows = rows_of(sequences, mask, unpad=packing)
    whole_ids, whole_mask = ended(sequences, mask, generation.stopped, settings.eos_id)
    whole = rows_of(whole_ids, whole_mask, unpad=packing)
    raw_scores = torch.stack([last_scores(model.role, whole) for model in roles.reward_models])
    scores = torch.stack([m.centred(raw) for m, raw in zip(roles.reward_models, raw_scores, strict=True)])
    old_logprobs, entropy = response_logprobs_and_entropy(roles.policy, rows, generation.mask, settings.temperature)
    return Rollout(
        sequences=sequences,
        sequence_mask=mask,
        mask=generation.mask,
        stopped=generation.stopped,
        old_logprobs=old_logprobs,
        ref_logprobs=response_logprobs(roles.reference, rows, generation.mask, settings.temperature),
        values=response_values(roles.critic, rows, generation.mask),
        entropy=entropy,
        scores=scores.mean(0),
        raw_scores=raw_scores[0],
        disagreement=scores.std(0, correction=0),
    )

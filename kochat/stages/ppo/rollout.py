"""A rollout: prompts, sampled answers, the outputs of every role for them, and the targets of the update."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch

from kochat.data.batches import PromptBatch
from kochat.nn.decoding import Generation, GenerationSettings, generate
from kochat.nn.roles import Role
from kochat.nn.rows import Rows
from kochat.nn.unpadded import rows_of
from kochat.rewards.answer_scores import ended
from kochat.stages.ppo.models import PPORoles

AnyRows = TypeVar("AnyRows", "Rollout", "Targets")


@dataclass(frozen=True)
class Rollout:
    """Prompts and their sampled responses.

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
        raw_scores: (b,) float32, the first reward model's score, not centred.
        disagreement: (b,) float32, standard deviation of the centred scores over the reward models; 0 for a single one.
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

    @property
    def responses(self) -> torch.Tensor:
        """The token ids of the responses, (b, r)."""
        return self.sequences[:, -self.mask.shape[1] :]

    def rows(self, index: torch.Tensor) -> Rollout:
        """Return the rows ``index`` (m,)."""
        return _rows(self, index)

    def without_tokens(self) -> Rollout:
        """Return the first row with every token masked: DDP needs a backward pass on a rank without rows too."""
        first = self.rows(torch.zeros(1, dtype=torch.long, device=self.mask.device))
        return replace(first, mask=torch.zeros_like(first.mask))


@dataclass(frozen=True)
class Judged:
    """The reward models' scores of answers.

    Args:
        scores: (b,) float32, centred score of each whole response, the mean over the reward models.
        raw_scores: (b,) float32, the first reward model's score, not centred.
        disagreement: (b,) float32, standard deviation of the centred scores over the reward models; 0 for a single one.
    """

    scores: torch.Tensor
    raw_scores: torch.Tensor
    disagreement: torch.Tensor


@dataclass(frozen=True)
class Targets:
    """The targets of a rollout's update.

    Args:
        advantages: (b, r), whitened.
        returns: (b, r) the critic's targets, not whitened.
        kl: (b, r) nats per token against the reference.
        scores: (b,) rewards: centred scores minus the penalties, without KL.
    """

    advantages: torch.Tensor
    returns: torch.Tensor
    kl: torch.Tensor
    scores: torch.Tensor

    def objective(self, kl_weight: float) -> torch.Tensor:
        """Return reward minus the weighted KL, summed over the answer's tokens, of each answer, (b,)."""
        return self.scores - kl_weight * self.kl.sum(1)

    def rows(self, index: torch.Tensor) -> Targets:
        """Return the rows ``index`` (m,)."""
        return _rows(self, index)


def _rows(of: AnyRows, index: torch.Tensor) -> AnyRows:
    return replace(of, **{each.name: getattr(of, each.name)[index] for each in fields(of)})


def before_responses(mask: torch.Tensor, response_mask: torch.Tensor) -> torch.Tensor:
    """Mark the tokens whose states predict the response tokens: (b, t) bool, one for each True of ``response_mask`` (b, r)."""
    where = torch.zeros_like(mask)
    where[:, -response_mask.shape[1] - 1 : -1] = response_mask
    return where


def response_logprobs(role: Role, rows: Rows, response_mask: torch.Tensor, temperature: float) -> torch.Tensor:
    """Compute log-probabilities of the responses, which are at the end of the rows.

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
    """Return `response_logprobs` and the entropy (b, r) of each token's distribution, in nats, both without gradient."""
    states, ids = _states_and_ids(role, rows, response_mask)
    logprobs, entropy = role.logprobs_and_entropy(states, ids, temperature)
    return spread(logprobs, response_mask), spread(entropy, response_mask)


def _states_and_ids(role: Role, rows: Rows, response_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the states (n, hidden) from which the n response tokens are predicted, and their ids (n,)."""
    states = rows.states(role, before_responses(rows.mask, response_mask))
    return states, rows.sequences[:, -response_mask.shape[1] :][response_mask]


def response_values(role: Role, rows: Rows, response_mask: torch.Tensor) -> torch.Tensor:
    """Return the critic's values (b, r), read at the token before each response token; 0 in masked slots."""
    return spread(role.project(value_states(role, rows, response_mask)), response_mask)


def value_states(role: Role, rows: Rows, response_mask: torch.Tensor) -> torch.Tensor:
    """Return the critic's last hidden states (n, hidden) from which the values of the n response tokens are read."""
    return rows.states(role, before_responses(rows.mask, response_mask))


def spread(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Put the values (n,) into the n True slots of the mask (b, r), 0 elsewhere; return (b, r)."""
    return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)


@torch.no_grad()
def roll_out(
    roles: PPORoles,
    prompts: PromptBatch,
    settings: GenerationSettings,
    generator: torch.Generator | None = None,
    *,
    unpad: bool = True,
) -> Rollout:
    """Sample answers and compute the output of every role for them.

    Args:
        roles: all roles; the policy samples.
        prompts: the prompts to answer.
        settings: the sampling settings; the temperature must be above 0.
        generator: the random generator; None takes torch's own.
        unpad: run the roles without padding; see `UnpaddedRows`.
    """
    generation = generate(roles.policy, prompts.input_ids, prompts.mask, settings, generator)
    return score_answers(roles, prompts, generation, settings, unpad=unpad)


@torch.no_grad()
def judge_answers(
    roles: PPORoles, prompts: PromptBatch, answers: Generation, settings: GenerationSettings, *, unpad: bool = True
) -> Judged:
    """Score answers with every reward model, at EOS; the arguments are those of `score_answers`."""
    sequences = torch.cat([prompts.input_ids, answers.responses], dim=1)
    mask = torch.cat([prompts.mask, answers.mask], dim=1)
    whole = rows_of(*ended(sequences, mask, answers.stopped, settings.eos_id), unpad=unpad)
    raw_scores = torch.stack([model.raw_scores(whole) for model in roles.reward_models])
    scores = torch.stack([m.centring(raw) for m, raw in zip(roles.reward_models, raw_scores, strict=True)])
    return Judged(scores.mean(0), raw_scores[0], scores.std(0, correction=0))


@torch.no_grad()
def score_answers(
    roles: PPORoles, prompts: PromptBatch, answers: Generation, settings: GenerationSettings, *, unpad: bool = True
) -> Rollout:
    """Build the `Rollout` of sampled answers; the other arguments are those of `roll_out`.

    Old log-probabilities come from the same forward pass that the update uses, so that the ratio is exactly 1 before the first
    step in any precision. Every role gets the sampled ids, which are never decoded and encoded again.
    """
    sequences = torch.cat([prompts.input_ids, answers.responses], dim=1)
    mask = torch.cat([prompts.mask, answers.mask], dim=1)
    rows = rows_of(sequences, mask, unpad=unpad)
    judged = judge_answers(roles, prompts, answers, settings, unpad=unpad)
    old_logprobs, entropy = response_logprobs_and_entropy(roles.policy, rows, answers.mask, settings.temperature)
    return Rollout(
        sequences=sequences,
        sequence_mask=mask,
        mask=answers.mask,
        stopped=answers.stopped,
        old_logprobs=old_logprobs,
        ref_logprobs=response_logprobs(roles.reference, rows, answers.mask, settings.temperature),
        values=response_values(roles.critic, rows, answers.mask),
        entropy=entropy,
        scores=judged.scores,
        raw_scores=judged.raw_scores,
        disagreement=judged.disagreement,
    )

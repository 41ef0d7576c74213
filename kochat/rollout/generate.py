"""Generate answers token by token with a key-value cache: sampling for PPO, greedy for evaluation.

Old log-probabilities in PPO are those of the raw logits divided by the sampling temperature. Top-k and top-p are not offered:
they would draw from another distribution than the one whose log-probabilities the ratio compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache

from kochat.functional import token_logprobs
from kochat.models.roles import Role


@dataclass(frozen=True)
class GenerationSettings:
    """How answers are drawn.

    Args:
        max_new_tokens: length limit in tokens, the stop token included.
        temperature: logits are divided by it; 0 takes the most probable token.
        stop_ids: a token among these ends the answer and belongs to it; EOS first.
        pad_id: what stands after the end.
    """

    max_new_tokens: int
    temperature: float
    stop_ids: tuple[int, ...]
    pad_id: int

    @property
    def eos_id(self) -> int:
        """Return EOS, the first of the stop tokens."""
        return self.stop_ids[0]


@dataclass(frozen=True)
class Generation:
    """Responses to a batch of prompts.

    Args:
        responses: (b, r) token ids, pad_id after the end.
        mask: (b, r) bool, True up to and including the stop token.
        stopped: (b,) bool, True where the answer ended with a stop token and not at the length limit.
        logprobs: (b, r) float32, log-probability of each token at the sampling temperature (at 1 for greedy answers), nats.
    """

    responses: torch.Tensor
    mask: torch.Tensor
    stopped: torch.Tensor
    logprobs: torch.Tensor


@torch.no_grad()
def generate(
    role: Role,
    input_ids: torch.Tensor,
    mask: torch.Tensor,
    settings: GenerationSettings,
    generator: torch.Generator | None = None,
) -> Generation:
    """Answer left-padded prompts.

    Args:
        role: the language model.
        input_ids: (b, p) prompts, padded on the left.
        mask: (b, p) bool, True on prompt tokens.
        settings: lengths, temperature and stop tokens.
        generator: the random state to draw from; None takes torch's own.

    Returns:
        Responses of r <= max_new_tokens tokens; r is the longest answer's length.
    """
    cache = DynamicCache()
    stop_ids = torch.tensor(settings.stop_ids, device=input_ids.device)
    finished = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
    tokens, logprobs, alive = [], [], []
    step_ids = input_ids
    for _ in range(settings.max_new_tokens):
        logits = role.project(role.hidden(step_ids, mask, cache)[:, -1]).float()
        token, logprob = draw(logits, settings.temperature, generator)
        alive.append(~finished)
        tokens.append(torch.where(finished, settings.pad_id, token))
        logprobs.append(logprob.masked_fill(finished, 0.0))
        finished = finished | torch.isin(token, stop_ids)
        if bool(finished.all()):
            break
        step_ids = tokens[-1].unsqueeze(1)
        mask = torch.cat([mask, alive[-1].unsqueeze(1)], dim=1)
    return Generation(torch.stack(tokens, 1), torch.stack(alive, 1), finished, torch.stack(logprobs, 1))


def draw(
    logits: torch.Tensor, temperature: float, generator: torch.Generator | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token a row from (b, vocab) logits; return its id (b,) and log-probability (b,), nats."""
    if temperature == 0:
        token = logits.argmax(dim=-1)
    else:
        logits = logits / temperature
        token = torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).squeeze(1)
    return token, token_logprobs(logits.unsqueeze(1), token.unsqueeze(1)).squeeze(1)


def decode(tokenizer, responses: torch.Tensor, mask: torch.Tensor) -> list[str]:
    """Turn response ids into text, special tokens left out."""
    from kochat.text.normalise import display

    rows: Sequence[list[int]] = [row[keep].tolist() for row, keep in zip(responses, mask, strict=True)]
    return [display(tokenizer.decode(row, skip_special_tokens=True)).strip() for row in rows]

"""Generate answers token by token with a key-value cache: sampling for PPO, greedy for evaluation.

PPO's log-probabilities are those of softmax(logits / temperature). Top-k and top-p are not offered: they sample from
another distribution than the one whose log-probabilities PPO's ratio compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache

from kochat.nn.roles import Role
from kochat.text.unicode_form import display


@dataclass(frozen=True)
class GenerationSettings:
    """The settings of generation.

    Args:
        max_new_tokens: length limit in tokens, the stop token included.
        temperature: logits are divided by it; 0 takes the most probable token.
        stop_ids: ids of the stop tokens, EOS first; a stop token ends the answer and is part of it.
        pad_id: id of the tokens after the end.
        drop_share: finished answers leave the batch when at most this share of the batch, 0 to 1, is unfinished; not
            earlier, since copying the cache takes time. 0 keeps them to the end. Answers do not depend on it.
    """

    max_new_tokens: int
    temperature: float
    stop_ids: tuple[int, ...]
    pad_id: int
    drop_share: float = 0.75

    @property
    def eos_id(self) -> int:
        """Return the id of EOS, the first stop token."""
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
    uniforms: torch.Tensor | None = None,
) -> Generation:
    """Answer left-padded prompts.

    Args:
        role: the language model.
        input_ids: (b, p) prompts, padded on the left.
        mask: (b, p) bool, True on prompt tokens.
        settings: lengths, temperature and stop tokens.
        generator: the random generator; None takes torch's own.
        uniforms: (b, max_new_tokens) float64 random numbers in [0, 1), one a token, which decide the draw instead of the
            generator. So a row's answer does not depend on the other rows of the batch.

    Returns:
        Responses of r <= max_new_tokens tokens; r is the longest answer's length.
    """
    with role.active():  # once, and not at every token
        return _decode_steps(role, input_ids, mask, settings, generator, uniforms)


def _decode_steps(
    role: Role,
    input_ids: torch.Tensor,
    mask: torch.Tensor,
    settings: GenerationSettings,
    generator: torch.Generator | None,
    uniforms: torch.Tensor | None,
) -> Generation:
    """Draw one token per row and step until all rows have ended; see `generate`."""
    size, width, device = len(input_ids), settings.max_new_tokens, input_ids.device
    stop_ids = torch.tensor(settings.stop_ids, device=device)
    tokens = torch.full((size, width), settings.pad_id, device=device)
    logprobs = torch.zeros(size, width, device=device)
    alive = torch.zeros(size, width, dtype=torch.bool, device=device)
    stopped = torch.zeros(size, dtype=torch.bool, device=device)
    rows = torch.arange(
        size, device=device
    )  # rows that are still in the batch; finished rows leave it from time to time
    cache, step_ids = DynamicCache(), input_ids
    for step in range(width):
        logits = role.logits(role.hidden(step_ids, mask, cache)[:, -1])
        uniform = None if uniforms is None else uniforms[rows, step]
        token, logprob = draw(logits, settings.temperature, generator, uniform)
        running = ~stopped[rows]
        tokens[rows, step] = torch.where(running, token, settings.pad_id)
        logprobs[rows, step] = logprob.masked_fill(~running, 0.0)
        alive[rows, step] = running
        stopped[rows] |= torch.isin(token, stop_ids)
        keep = ~stopped[rows]
        left = int(keep.sum())
        if left == 0:
            break
        mask = torch.cat([mask, running.unsqueeze(1)], dim=1)
        if left <= settings.drop_share * len(rows):
            cache.batch_select_indices(keep.nonzero().squeeze(1))
            rows, mask = rows[keep], mask[keep]
        step_ids = tokens[rows, step].unsqueeze(1)
    return Generation(tokens[:, : step + 1], alive[:, : step + 1], stopped, logprobs[:, : step + 1])


def draw(
    logits: torch.Tensor,
    temperature: float,
    generator: torch.Generator | None,
    uniform: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token per row from float32 logits (b, vocab); return its id (b,) and log-probability (b,) in nats.

    The random numbers come from the generator, or are ``uniform`` (b,), in [0, 1).
    """
    probabilities = (logits if temperature in (0, 1) else logits / temperature).softmax(dim=-1)
    if not temperature:
        drawn = logits.argmax(dim=-1)
    else:
        drawn = _sample(probabilities, generator) if uniform is None else _look_up(probabilities, uniform)
    return drawn, probabilities.gather(-1, drawn.unsqueeze(-1)).squeeze(-1).log()


def _sample(probabilities: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Draw one token per row from probabilities (b, vocab), never one of probability 0.

    torch.multinomial draws a random number for every token of the vocabulary. On a CPU that takes longer than the
    softmax, so there one random number per row is looked up in the cumulative sum. On a GPU random numbers are cheap,
    and cumulative sums are not deterministic.
    """
    if probabilities.device.type != "cpu":
        return probabilities.multinomial(1, generator=generator).squeeze(-1)
    cumulative = probabilities.double().cumsum(dim=-1)
    total = cumulative[:, -1:]
    uniform = torch.rand(total.shape, dtype=total.dtype, generator=generator) * total
    # Rounding may bring the product up to the total, above which there is no token.
    below = torch.minimum(uniform, total.nextafter(torch.zeros_like(total)))
    found = torch.searchsorted(cumulative, below, right=True).squeeze(
        -1
    )  # the first sum above: its token's weight is not 0
    return found.clamp(max=probabilities.shape[-1] - 1)  # NaN is above nothing; the update will say that it is there


def _look_up(probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Return the token of each row at which the cumulative probability (b, vocab) exceeds ``uniform`` (b,).

    In whole numbers of 2**-50: their sums are exact, so they are the same on every device, and deterministic on a GPU.
    """
    cumulative = (probabilities * 2**50).long().cumsum(dim=-1)
    below = (uniform.unsqueeze(-1) * cumulative[:, -1:]).long()  # less than the total, since uniform is less than 1
    found = torch.searchsorted(cumulative, below, right=True).squeeze(-1)
    return found.clamp(max=probabilities.shape[-1] - 1)  # NaN has no sum


def decode(tokenizer, responses: torch.Tensor, mask: torch.Tensor) -> list[str]:
    """Turn response ids (b, r) into b texts, without special tokens; ``mask`` (b, r) is True on the tokens of an answer."""
    rows: Sequence[list[int]] = [row[keep].tolist() for row, keep in zip(responses, mask, strict=True)]
    return [display(tokenizer.decode(row, skip_special_tokens=True)).strip() for row in rows]

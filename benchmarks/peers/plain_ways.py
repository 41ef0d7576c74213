"""Simple versions of kochat's fast paths; `switches` puts them in place of the fast ones, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

from kochat.functional import entropy, token_logprobs
from kochat.nn.decoding import GenerationSettings

Thing = TypeVar("Thing")

keep_finished = partial(GenerationSettings, drop_share=0.0)


def whole_logprobs(hidden: torch.Tensor, weight: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return log p(id), (n,) nats, from all logits at once."""
    return token_logprobs((hidden @ weight.T).float(), ids)


def whole_logprobs_and_entropy(
    hidden: torch.Tensor, weight: torch.Tensor, ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log p(id) and entropies, (n,) nats, from all logits at once."""
    logits = (hidden @ weight.T).float()
    return token_logprobs(logits, ids), entropy(logits)


@contextmanager
def mlp_everywhere(backbone: torch.nn.Module, wanted: torch.Tensor) -> Iterator[None]:
    """Run the last MLP at all tokens."""
    yield


def as_it_is(thing: Thing) -> Thing:
    """Change nothing."""
    return thing

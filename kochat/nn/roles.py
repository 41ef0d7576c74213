"""Roles: policy, reference, reward model and critic, each a triple (host, adapter, head) on a model that roles may share.

In LoRA runs all four roles use one base in memory: the host is loaded once, and each role has its own adapter on it. A
fully fine-tuned model is its own host.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear
from transformers import Cache

from kochat.errors import UserError
from kochat.functional import (
    entropy,
    linear_logprobs,
    linear_logprobs_and_entropy,
    position_ids,
    token_logprobs,
)
from kochat.nn.adapters import adapter_parameters
from kochat.nn.backbones import backbone_of
from kochat.nn.heads import ScalarHead
from kochat.nn.hosts import HostState


@dataclass
class Role:
    """One of the models of RLHF.

    Args:
        name: policy, reference, reward_model or critic.
        host: the model that holds the weights; roles may share it.
        adapter: the name of this role's adapter on ``host``; None for a whole model.
        head: a scalar head for reward and value roles; None for language models, which use the LM head of the host.
        base_digest: digest of the base's weights under an adapter; empty for whole models.
        shared: state that the roles on ``host`` share; by default a new one.
    """

    name: str
    host: nn.Module
    adapter: str | None = None
    head: ScalarHead | None = None
    base_digest: str = ""
    shared: HostState = field(default=None, repr=False, compare=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Make the shared state for a role that is alone on its host."""
        if self.shared is None:
            self.shared = HostState(self.host)

    @property
    def is_value(self) -> bool:
        """Tell whether this role returns scalars (reward or value) instead of logits."""
        return self.head is not None

    @property
    def max_positions(self) -> int | None:
        """The number of the model's positions, in tokens; None if it has no bound."""
        return getattr(backbone_of(self.host).config, "max_position_embeddings", None)

    def active(self) -> AbstractContextManager[None]:
        """Return a context in which this role's adapter is active."""
        return nullcontext() if self.adapter is None else self.shared.adapters.active(self.adapter)

    def hidden(self, input_ids: torch.Tensor, mask: torch.Tensor, cache: Cache | None = None) -> torch.Tensor:
        """Return the last hidden states.

        Args:
            input_ids: (b, t) the new tokens.
            mask: (b, cached + t) bool, True on real tokens; positions are computed from it, so left padding has no effect.
            cache: keys and values of the earlier tokens, extended in place.

        Returns:
            (b, t, hidden)

        Raises:
            UserError: when a row is longer than the model's positions.
        """
        positions = position_ids(mask)[:, -input_ids.shape[1] :]
        kept = {} if cache is None else {_cache_argument(type(backbone_of(self.host))): cache}  # type: ignore[arg-type]
        return self.run(
            input_ids, positions, mask.shape[1], attention_mask=mask.long(), use_cache=cache is not None, **kept
        )

    def run(self, input_ids: torch.Tensor, positions: torch.Tensor, longest: int, **options: Any) -> torch.Tensor:
        """Run the transformer with this role's adapter and return its last hidden states.

        Args:
            input_ids: (b, t) token ids.
            positions: (b, t) position of each token in its row, from 0.
            longest: upper bound of the row lengths, in tokens.
            options: further arguments of the transformer: mask, cache.

        Returns:
            (b, t, hidden)

        Raises:
            UserError: when a row is longer than the model's positions.
        """
        self._check_room(positions, longest)
        with self.active():
            output = backbone_of(self.host)(input_ids=input_ids, position_ids=positions, **options)
        return output.last_hidden_state

    def _check_room(self, positions: torch.Tensor, width: int) -> None:
        """Refuse positions beyond the model's; the device is read only if ``width`` allows such a position."""
        room = self.max_positions
        if room is not None and width > room and int(positions.max()) >= room:
            raise UserError(
                f"{self.name}: a row of {int(positions.max()) + 1} tokens is longer than the model's {room} positions; lower "
                "data.max_length, data.max_prompt_length or max_new_tokens"
            )

    def project(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the role's head: (..., hidden) -> (..., vocab) logits, or (...) scalars for a value role."""
        if self.head is not None:
            return self.head(hidden)
        with self.active():  # the output embedding may have adapters too
            return _base(self.host).get_output_embeddings()(hidden)  # type: ignore[operator]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return float32 logits (n, vocab) of hidden states (n, hidden), for decoding."""
        weight = self._output_weight()
        return (self.project(hidden) if weight is None else linear(*self._as_multiplied(hidden, weight))).float()

    def logprobs(self, hidden: torch.Tensor, ids: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """Return log p(id) under softmax(logits / temperature), (n,) nats, for hidden states (n, hidden) and ids (n,).

        Logits are computed for a block of tokens at a time, unless the output embedding has an adapter or a bias.
        """
        weight = self._output_weight()
        if weight is None:
            return token_logprobs(self.project(hidden) / temperature, ids)
        return linear_logprobs(*self._as_multiplied(hidden / temperature, weight), ids)

    def logprobs_and_entropy(
        self, hidden: torch.Tensor, ids: torch.Tensor, temperature: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the result of `logprobs` and the entropy of each distribution, (n,) nats, both without gradient."""
        weight = self._output_weight()
        if weight is None:
            logits = self.project(hidden).detach() / temperature
            return token_logprobs(logits, ids), entropy(logits)
        return linear_logprobs_and_entropy(*self._as_multiplied(hidden / temperature, weight), ids)

    def _output_weight(self) -> torch.Tensor | None:
        """Return the output embedding if logits are only its product with hidden states, else None."""
        embedding = _base(self.host).get_output_embeddings()  # type: ignore[operator]
        return embedding.weight if type(embedding) is nn.Linear and embedding.bias is None else None

    def _as_multiplied(self, hidden: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both in the dtype of their product under the Trainer's precision; a frozen embedding is cast once."""
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        return hidden.to(dtype), self.shared.output.of(weight, dtype)

    def parameters(self) -> list[nn.Parameter]:
        """List the parameters of this role: those of its adapter (or of its host, without an adapter) and of its head."""
        own = adapter_parameters(self.host, self.adapter) if self.adapter is not None else list(self.host.parameters())
        return own + (list(self.head.parameters()) if self.head is not None else [])


def _base(host: nn.Module) -> nn.Module:
    """Return the model without the PEFT wrapper of its adapters."""
    return host.get_base_model() if hasattr(host, "get_base_model") else host  # type: ignore[operator]


@functools.cache
def _cache_argument(backbone: type[nn.Module]) -> str:
    """Return the name of the argument for the cache: `past_key_values` in older releases of transformers, gone in 5.40."""
    return "cache" if "cache" in inspect.signature(backbone.forward).parameters else "past_key_values"

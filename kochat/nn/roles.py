"""Roles: policy, reference, reward model and critic, each a view (host, adapter, head) on a model that others may share.

For LoRA runs all four roles sit on one base in memory: the host is loaded once and every role names its own adapter on it. A
fully fine-tuned model is a host of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
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
from kochat.nn.adapters import adapter_parameters, use_adapter
from kochat.nn.backbones import backbone_of
from kochat.nn.heads import ScalarHead
from kochat.nn.precision import cast_once

PACKED = ("gpt2", "gpt_neox", "llama", "qwen2")  # whose packed rows tests hold to padded ones
TRIM = True  # leave the last block's MLP out where no state is read; False runs it everywhere
BLOCKS = True  # make logits a block of tokens at a time; False makes all of them, as the plain way


@dataclass
class Role:
    """One of the models of RLHF.

    Args:
        name: policy, reference, reward_model or critic.
        host: the model that holds the weights, perhaps shared with other roles.
        adapter: the adapter of ``host`` that is this role's; None when the host's own weights are.
        head: a scalar head for reward and value roles; None for language models, which use the host's.
        base_digest: digest of the base's weights under an adapter; empty for whole models.
    """

    name: str
    host: nn.Module
    adapter: str | None = None
    head: ScalarHead | None = None
    base_digest: str = ""

    @property
    def is_value(self) -> bool:
        """Tell whether this role gives scalars and not tokens."""
        return self.head is not None

    def active(self) -> AbstractContextManager[None]:
        """Make this role's adapter the active one for the length of a block."""
        return use_adapter(self.host, self.adapter) if hasattr(self.host, "peft_config") else nullcontext()

    def hidden(self, input_ids: torch.Tensor, mask: torch.Tensor, cache: Cache | None = None) -> torch.Tensor:
        """Return the last hidden states.

        Args:
            input_ids: (b, t) the new tokens.
            mask: (b, cached + t) bool, True on real tokens; positions follow from it (left padding moves nothing).
            cache: keys and values of the tokens before, extended in place.

        Returns:
            (b, t, hidden)

        Raises:
            UserError: when a row is longer than the model's positions.
        """
        positions = position_ids(mask)[:, -input_ids.shape[1] :]
        self._check_room(positions, mask.shape[1])
        with self.active():
            output = backbone_of(self.host)(
                input_ids=input_ids,
                attention_mask=mask.long(),
                position_ids=positions,
                past_key_values=cache,
                use_cache=cache is not None,
            )
        return output.last_hidden_state

    @property
    def packs(self) -> bool:
        """Tell whether `packed_hidden` is right for this model: its attention goes through transformers' interface and sees all before.

        Others would let rows see each other without a word, so that only architectures are listed which tests hold to the padded pass.
        Recomputed activations (gradient checkpointing) would be recomputed without the packed attention.
        """
        backbone: Any = backbone_of(self.host)
        config = backbone.config
        windows = getattr(config, "sliding_window", None) is not None or "sliding_attention" in (
            getattr(config, "layer_types", None) or ()
        )
        known = config.model_type in PACKED and not windows
        if not known:
            warnings.warn(
                f"{self.name}: rows of a {config.model_type} {'with a sliding window ' if windows else ''}are padded; packing knows "
                + ", ".join(PACKED),
                stacklevel=2,
            )
        return known and not getattr(backbone, "is_gradient_checkpointing", False)

    def packed_hidden(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        width: int,
        wanted: torch.Tensor,
        attention: str,
        **options: Any,
    ) -> torch.Tensor:
        """Return the last hidden states of tokens that stand in one sequence and belong to many rows.

        Args:
            tokens: (n,) token ids.
            positions: (n,) each one's position in its row.
            width: the longest row's length.
            wanted: (k,) the tokens whose states will be read; those of others are not right.
            attention: the name of the attention function that knows which tokens see which.
            options: what that function is given besides.

        Returns:
            (n, hidden)

        Raises:
            UserError: when a row is longer than the model's positions.
        """
        self._check_room(positions, width)
        backbone = backbone_of(self.host)
        with self.active(), _attention(backbone, attention), last_mlp_at(backbone, wanted):
            output = backbone(
                input_ids=tokens.unsqueeze(0), position_ids=positions.unsqueeze(0), use_cache=False, **options
            )
        return output.last_hidden_state[0]

    def _check_room(self, positions: torch.Tensor, width: int) -> None:
        """Stop before a position embedding is read that is not there; the device is asked only where that could be."""
        room = getattr(backbone_of(self.host).config, "max_position_embeddings", None)
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
        """Return the (n, vocab) float32 logits of hidden states (n, hidden), for decoding."""
        weight = self._output_weight()
        return (self.project(hidden) if weight is None else linear(*self._as_multiplied(hidden, weight))).float()

    def logprobs(self, hidden: torch.Tensor, ids: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """Return log p(id) under softmax(logits / temperature), (n,) nats, of hidden states (n, hidden) and ids (n,).

        Logits are made a block of tokens at a time, unless the output embedding is more than a matrix (an adapter, a bias).
        """
        weight = self._output_weight()
        if weight is None:
            return token_logprobs(self.project(hidden) / temperature, ids)
        return linear_logprobs(*self._as_multiplied(hidden / temperature, weight), ids)

    def logprobs_and_entropy(
        self, hidden: torch.Tensor, ids: torch.Tensor, temperature: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what `logprobs` does and the entropy of each distribution, (n,) nats, both without gradient."""
        weight = self._output_weight()
        if weight is None:
            logits = self.project(hidden).detach() / temperature
            return token_logprobs(logits, ids), entropy(logits)
        return linear_logprobs_and_entropy(*self._as_multiplied(hidden / temperature, weight), ids)

    def _output_weight(self) -> torch.Tensor | None:
        """Return the output embedding where logits are its product with hidden states and nothing else."""
        embedding = _base(self.host).get_output_embeddings()  # type: ignore[operator]
        return embedding.weight if BLOCKS and type(embedding) is nn.Linear and embedding.bias is None else None

    def _as_multiplied(self, hidden: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both in the type that a product of them has under the Trainer's precision; a frozen embedding is cast once."""
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        return hidden.to(dtype), cast_once(self.host, weight, dtype)

    def forward_from(self, input_ids: torch.Tensor, mask: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Return the head's output at positions start..stop-1 alone, so that no other logits are ever made."""
        return self.project(self.hidden(input_ids, mask)[:, start:stop])

    def last_scores(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scalar at each row's last real token, (b,): padding on either side moves nothing."""
        hidden = self.hidden(input_ids, mask)
        columns = torch.arange(mask.shape[1], device=mask.device)
        last = (mask * columns).argmax(dim=1)
        return self.project(hidden[torch.arange(len(hidden), device=hidden.device), last])

    def parameters(self) -> list[nn.Parameter]:
        """List the parameters that are this role's own: its adapter's or its host's, and its head's."""
        own = adapter_parameters(self.host, self.adapter) if self.adapter is not None else list(self.host.parameters())
        return own + (list(self.head.parameters()) if self.head is not None else [])


def _base(host: nn.Module) -> nn.Module:
    return host.get_base_model() if hasattr(host, "get_base_model") else host  # type: ignore[operator]


@contextmanager
def _attention(backbone: nn.Module, name: str) -> Iterator[None]:
    """Run the block with one of transformers' registered attention functions; those that have no mask function get no mask."""
    config: Any = backbone.config
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before


@contextmanager
def last_mlp_at(backbone: nn.Module, wanted: torch.Tensor) -> Iterator[None]:
    """Run the block with the last transformer block's MLP at some tokens alone: nothing after it mixes tokens.

    Most of a prompt's tokens, and all of an answer's but one under a reward model, only serve as keys and values.

    Args:
        backbone: a transformer whose last list of modules are its blocks; one whose blocks have no ``mlp`` is left alone.
        wanted: (k,) tokens of a batch of one sequence, in any order, several times too.
    """
    blocks = [child for child in backbone.children() if isinstance(child, nn.ModuleList)]
    mlp = getattr(blocks[-1][-1], "mlp", None) if TRIM and blocks else None
    if mlp is None:
        yield
        return
    forward, places = mlp.forward, wanted.unique()
    before = vars(mlp).get("forward")  # somebody may have put one on the module itself

    def trimmed(hidden: torch.Tensor) -> torch.Tensor:
        output = forward(hidden.index_select(1, places))
        return output.new_zeros(hidden.shape).index_copy(1, places, output)

    mlp.forward = trimmed
    try:
        yield
    finally:
        del mlp.forward
        if before is not None:
            mlp.forward = before

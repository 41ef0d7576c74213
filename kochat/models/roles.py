"""Roles: policy, reference, reward model and critic, each a view (host, adapter, head) on a model that others may share.

For LoRA runs all four roles sit on one base in memory: the host is loaded once and every role names its own adapter on it. A
fully fine-tuned model is a host of its own.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from transformers import Cache

from kochat.errors import UserError
from kochat.functional import position_ids, segment_attention, segment_position_ids
from kochat.models.backbone import backbone_of
from kochat.models.lora import adapter_parameters, use_adapter
from kochat.models.scalar_head import ScalarHead


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

    def packed_hidden(self, input_ids: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
        """Return the last hidden states of rows that hold several examples each, none of which sees another.

        Args:
            input_ids: (b, t) token ids.
            segments: (b, t) which example of its row a token belongs to, from 1; 0 on pads.

        Returns:
            (b, t, hidden)

        Raises:
            UserError: when an example is longer than the model's positions.
        """
        positions = segment_position_ids(segments)
        self._check_room(positions, segments.shape[1])
        allowed = segment_attention(segments)
        if (
            getattr(backbone_of(self.host).config, "_attn_implementation", "sdpa") != "sdpa"
        ):  # eager attention adds its mask
            allowed = torch.zeros(allowed.shape, device=allowed.device).masked_fill(
                ~allowed, torch.finfo(torch.float32).min
            )
        with self.active():
            backbone = backbone_of(self.host)
            output = backbone(input_ids=input_ids, attention_mask=allowed, position_ids=positions, use_cache=False)
        return output.last_hidden_state

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

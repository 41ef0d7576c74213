"""The attention of kochat's models: transformers' own (sdpa) on padded rows, and within rows on tokens without padding.

A model is given it once, when it is loaded, through transformers' public interface. Which of the two runs is decided by the keyword
``layout`` of the forward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel

from kochat.nn.layouts import Layout

ATTENTION = "kochat_rows"
UNPADDABLE = ("gpt2", "gpt_neox", "llama", "qwen2")  # tests hold their unpadded rows to padded ones
_sdpa = AttentionInterface()["sdpa"]


def rows_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    layout: Layout | None = None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attend as transformers' sdpa does, or within the rows of a layout.

    Args:
        module: the attention layer.
        query: (b, heads, t, d); with a layout (1, heads, n, d).
        key: as query, perhaps with fewer heads.
        value: as key.
        attention_mask: transformers' mask; not read with a layout.
        layout: where the n tokens stand; None attends as sdpa does.
        options: ``scaling``, ``dropout`` and what else transformers gives.

    Returns:
        (b, t, heads, d) and None.
    """
    if layout is None:
        return _sdpa(module, query, key, value, attention_mask, **options)
    return _attend_within_rows(query, key, value, layout, options.get("scaling"), options.get("dropout", 0.0)), None


AttentionInterface.register(ATTENTION, rows_attention)
AttentionMaskInterface.register(ATTENTION, AttentionMaskInterface()["sdpa"])


def sees_all_before(config: PreTrainedConfig) -> bool:
    """Tell whether an architecture is known to attend to all tokens before, without a sliding window."""
    windows = getattr(config, "sliding_window", None) is not None or "sliding_attention" in (
        getattr(config, "layer_types", None) or ()
    )
    return config.model_type in UNPADDABLE and not windows


def give_rows_attention(model: PreTrainedModel) -> PreTrainedModel:
    """Set `rows_attention` in a model where it is right; others would let rows see each other without a word, and stay as they are."""
    if sees_all_before(model.config):
        model.set_attn_implementation(ATTENTION)
    return model


def _attend_within_rows(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scaling: float | None, dropout: float
) -> torch.Tensor:
    """Attend causally in each row, (1, heads, n, d) -> (1, n, heads, d).

    Rows begin at their first place and end in pads, so the causal rule alone keeps real tokens from seeing a pad.
    """
    heads, groups = query.shape[1], query.shape[1] // key.shape[1]
    query, key, value = (_rows_of(x, layout) for x in (query, key, value))
    if groups > 1:
        key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    output = scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True, scale=scaling)
    flat = output.transpose(1, 2).reshape(layout.rows * layout.width, -1)
    return _FromRows.apply(flat, layout).view(1, -1, heads, output.shape[-1])


def _rows_of(x: torch.Tensor, layout: Layout) -> torch.Tensor:
    """(1, heads, n, d) -> (rows, heads, width, d)."""
    _, heads, count, size = x.shape
    flat = _ToRows.apply(x.transpose(1, 2).reshape(count, heads * size), layout)
    return flat.view(layout.rows, layout.width, heads, size).transpose(1, 2)


class _ToRows(torch.autograd.Function):
    """(n, w) -> (rows * width, w): every place gets its token; a token's gradient is the sum over its places."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layout: Layout) -> torch.Tensor:
        ctx.layout = layout
        return x.index_select(0, layout.slots)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        layout = ctx.layout
        own = gradient.index_select(0, layout.places)
        return own.index_add_(0, layout.copied, gradient.index_select(0, layout.copies)), None


class _FromRows(torch.autograd.Function):
    """(rows * width, w) -> (n, w): each token is taken from one of its places, since all hold the same."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layout: Layout) -> torch.Tensor:
        ctx.layout, ctx.size = layout, x.shape
        return x.index_select(0, layout.places)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient.new_zeros(ctx.size).index_copy_(0, ctx.layout.places, gradient), None

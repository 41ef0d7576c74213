"""The attention of kochat's models: transformers' sdpa on padded rows, and attention within rows on unpadded tokens.

It is set once, when a model is loaded, through transformers' public interface. The keyword ``layout`` of the forward
pass decides which of the two runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel

from kochat.nn.layouts import Layout

ATTENTION = "kochat_rows"
UNPADDABLE = ("gpt2", "gpt_neox", "llama", "qwen2")  # tests compare their unpadded rows with padded ones
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
        layout: the rows of the n tokens; None means sdpa.
        options: ``scaling``, ``dropout`` and further arguments of transformers.

    Returns:
        (b, t, heads, d) and None.
    """
    if layout is None:
        return _sdpa(module, query, key, value, attention_mask, **options)
    return _attend_within_rows(query, key, value, layout, options.get("scaling"), options.get("dropout", 0.0)), None


AttentionInterface.register(ATTENTION, rows_attention)
AttentionMaskInterface.register(ATTENTION, AttentionMaskInterface()["sdpa"])


def sees_all_before(config: PreTrainedConfig) -> bool:
    """Tell whether an architecture is known to attend to all earlier tokens, without a sliding window."""
    windows = getattr(config, "sliding_window", None) is not None or "sliding_attention" in (
        getattr(config, "layer_types", None) or ()
    )
    return config.model_type in UNPADDABLE and not windows


def give_rows_attention(model: PreTrainedModel) -> PreTrainedModel:
    """Set `rows_attention` in a model that supports it; in other models rows could silently attend to each other, so they are unchanged."""
    if sees_all_before(model.config):
        model.set_attn_implementation(ATTENTION)
    return model


def _attend_within_rows(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scaling: float | None, dropout: float
) -> torch.Tensor:
    """Attend causally in each row, (1, heads, n, d) -> (1, n, heads, d).

    Rows are padded on the right, so the causal mask alone keeps real tokens from attending to pads.
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
    """(n, w) -> (rows * width, w): copy each token to its places in the rows; its gradient is the sum over these places."""

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
    """(rows * width, w) -> (n, w): take each token from one of its places, since all have the same value."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layout: Layout) -> torch.Tensor:
        ctx.layout, ctx.size = layout, x.shape
        return x.index_select(0, layout.places)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient.new_zeros(ctx.size).index_copy_(0, ctx.layout.places, gradient), None

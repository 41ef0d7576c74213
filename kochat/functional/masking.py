"""Masks made from lengths, and reductions that ignore masked slots.

A mask is a bool tensor, True where a token counts. Masked slots are replaced by 0 *before* any arithmetic. Multiplying
by 0 would not remove a NaN or an infinity from value or gradient (NaN * 0 = NaN).
"""

from __future__ import annotations

import torch
from torch import Tensor


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Mark the first ``lengths[i]`` slots of row i.

    Args:
        lengths: Tokens per row, shape: (b,).
        size: Slots a row, t.

    Returns:
        Mask, True on real tokens of a right-padded batch, shape: (b, t).
    """
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(-1)


def span_mask(starts: Tensor, stops: Tensor, size: int) -> Tensor:
    """Mark the slots ``starts[i] <= j < stops[i]`` of row i.

    With prompt lengths as starts and row lengths as stops, these are the target tokens, EOS included.

    Args:
        starts: First marked slot, shape: (b,).
        stops: First slot after the span, shape: (b,).
        size: Slots a row, t.

    Returns:
        Mask, shape: (b, t).
    """
    return length_mask(stops, size) & ~length_mask(starts, size)


def position_ids(mask: Tensor) -> Tensor:
    """Number the real tokens of each row from 0, wherever the padding is.

    Without explicit positions the first real token of a left-padded row would have the number of pads as its position.

    Args:
        mask: True on real tokens, shape: (b, t).

    Returns:
        ``cumsum(mask) - 1``, pads on the left clamped to 0, long, shape: (b, t).
    """
    return (mask.long().cumsum(dim=-1) - 1).clamp(min=0)


def zero_masked(x: Tensor, mask: Tensor) -> Tensor:
    """Set masked slots to 0, so that they affect neither values nor gradients.

    Args:
        x: Any values, shape: (b, t).
        mask: True on slots that count, of the same shape.

    Raises:
        ValueError: The shapes differ (broadcasting here is always a mistake).
    """
    if x.shape != mask.shape:
        raise ValueError(f"values of shape {tuple(x.shape)} do not fit a mask of shape {tuple(mask.shape)}")
    return torch.where(mask, x, torch.zeros_like(x))


def masked_mean(x: Tensor, mask: Tensor, *, num_tokens: Tensor | float | None = None) -> Tensor:
    """Average ``x`` over the slots that count: sum_{mask} x / num_tokens.

    Args:
        x: Values, shape: (b, t).
        mask: True on slots that count, shape: (b, t).
        num_tokens: Divisor, positive. Default: this mask's own count (at least 1, so an empty mask gives 0). With the
            count over all micro-batches, the results of the parts *add up* to the mean over the whole batch. If DDP
            averages gradients over ranks, give the global count divided by the number of ranks.

    Returns:
        The mean, shape: ().
    """
    count = mask.sum().clamp(min=1) if num_tokens is None else num_tokens
    return zero_masked(x, mask).sum() / count


def masked_whiten(
    x: Tensor,
    mask: Tensor,
    shift_mean: bool = True,  # noqa: FBT001, FBT002 - scripts rely on this signature
    *,
    mean: Tensor | None = None,
    variance: Tensor | None = None,
    eps: float = 1e-8,
) -> Tensor:
    """Scale ``x`` to variance 1 under the mask: (x - mean) / sqrt(variance + eps), masked slots 0.

    The variance is the population's (divided by n), so that n <= 1 is safe: the result for one token is 0. For statistics over
    several ranks, all-reduce ``masked_mean(x, mask, num_tokens=n)`` and then ``masked_mean((x - mean) ** 2, ...)``.

    Args:
        x: Values, shape: (b, t).
        mask: True on slots that count, shape: (b, t).
        shift_mean: True gives mean 0 under the mask; False adds the mean back after scaling.
        mean: Mean over all ranks, shape: (). Default: under this mask.
        variance: Variance over all ranks, shape: (). Default: under this mask.
        eps: Prevents division by 0 for a constant ``x``.

    Returns:
        Whitened values, 0 in masked slots, like ``x``.
    """
    x = zero_masked(x, mask)
    mean = masked_mean(x, mask) if mean is None else mean
    variance = masked_mean((x - mean) ** 2, mask) if variance is None else variance
    whitened = (x - mean) * torch.rsqrt(variance + eps)
    return zero_masked(whitened if shift_mean else whitened + mean, mask)

"""The unit of a reward: how far apart the scores of one policy's own answers to a prompt are.

The spread of all held-out answers contains the differences between prompts, which no policy can change. Only
differences between answers to one prompt can raise the reward.
"""

from __future__ import annotations

import torch

from kochat.functional import within_group_std


def within_prompt_std(scores: torch.Tensor) -> float:
    """Return the pooled standard deviation within prompts: the square root of the mean of the prompts' unbiased variances.

    Args:
        scores: raw scores of sampled answers, one row a prompt, shape: (prompts, samples).

    Raises:
        ValueError: there are no prompts, fewer than two samples a prompt, or scores that are not finite.
    """
    if scores.dim() != 2 or scores.shape[0] < 1 or scores.shape[1] < 2:
        raise ValueError(f"scores of shape {tuple(scores.shape)} have no spread; give (prompts, two samples or more)")
    if not scores.isfinite().all():
        raise ValueError("scores that are not finite have no spread")
    return float(within_group_std(scores.double()))

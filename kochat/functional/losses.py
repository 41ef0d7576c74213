"""The losses of the reward model (preference ranking) and of PPO (policy and value).

Every loss takes ``num_tokens``, the divisor for a part of a larger batch (see ``masked_mean``): then losses and
gradients of the parts add up to those of the whole batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kochat.functional.masking import masked_mean, zero_masked


def pairwise_ranking_loss(
    chosen: Tensor, rejected: Tensor, margin: float | Tensor = 0.0, *, num_tokens: Tensor | float | None = None
) -> Tensor:
    """Average -log sigmoid(chosen - rejected - margin) over pairs (Bradley-Terry; Ouyang et al. 2022, eq. 1).

    Args:
        chosen: Scores of the better answers, shape: (p,).
        rejected: Scores of the worse answers, shape: (p,).
        margin: Required score difference, one number or one per pair, shape: (p,).
        num_tokens: Count of *pairs* to divide by. Default: p (at least 1).

    Returns:
        Mean loss in nats per pair, log 2 for equal scores and margin 0, shape: ().

    Raises:
        ValueError: The shapes differ (broadcasting would compare every pair with every other).
    """
    if chosen.shape != rejected.shape:
        raise ValueError(f"chosen of shape {tuple(chosen.shape)} and rejected {tuple(rejected.shape)} must be alike")
    # softplus(-x) = -log sigmoid(x), finite for large |x|.
    losses = F.softplus(margin - (chosen - rejected))
    return losses.sum() / (max(losses.numel(), 1) if num_tokens is None else num_tokens)


def ppo_policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_range: float,
    *,
    num_tokens: Tensor | float | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute PPO's clipped surrogate loss.

    With ratio = exp(logprobs - old_logprobs), the mean under the mask of
    max(-A * ratio, -A * clip(ratio, 1 - clip_range, 1 + clip_range)) (Schulman et al. 2017, arXiv:1707.06347, eq. 7).

    Args:
        logprobs: Log-probabilities of the sampled tokens under the current policy, in nats, shape: (b, t).
        old_logprobs: Log-probabilities of the same tokens at sampling, in nats, shape: (b, t).
        advantages: A_t, usually whitened, shape: (b, t).
        mask: True on generated tokens, shape: (b, t).
        clip_range: Beyond this distance of the ratio from 1 the loss is clipped.
        num_tokens: Count of tokens to divide both results by. Default: the mask's.

    Returns:
        The loss, shape: (); and clip_fraction, the share of tokens whose ratio is outside 1 +- clip_range, without
        gradient, shape: ().
    """
    ratio = torch.exp(zero_masked(logprobs, mask) - zero_masked(old_logprobs, mask))
    advantages = zero_masked(advantages, mask)
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    loss = masked_mean(torch.maximum(-advantages * ratio, -advantages * clipped), mask, num_tokens=num_tokens)
    outside = (ratio.detach() - 1).abs() > clip_range
    return loss, masked_mean(outside.to(ratio.dtype), mask, num_tokens=num_tokens)


def value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    clip_range: float,
    *,
    num_tokens: Tensor | float | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute the critic's clipped squared error.

    0.5 * mean under the mask of max((V - R)^2, (V_clip - R)^2) with V_clip = V_old + clip(V - V_old, -clip_range,
    clip_range): an update beyond the range gains nothing (as in OpenAI's baselines ``ppo2``; not in the paper).

    Args:
        values: V_t of the critic being trained, shape: (b, t).
        old_values: V_t at the rollout, shape: (b, t).
        returns: R_t, the targets, shape: (b, t).
        mask: True on generated tokens, shape: (b, t).
        clip_range: Beyond this distance of V from V_old the loss is clipped, in units of the reward; ``math.inf`` turns clipping off.
        num_tokens: Count of tokens to divide both results by. Default: the mask's.

    Returns:
        The loss, shape: (); and clip_fraction, the share of tokens with |V - V_old| > clip_range, without gradient,
        shape: ().
    """
    values, old_values, returns = (zero_masked(x, mask) for x in (values, old_values, returns))
    change = values - old_values
    clipped = old_values + change.clamp(-clip_range, clip_range)
    squared = torch.maximum((values - returns) ** 2, (clipped - returns) ** 2)
    outside = change.detach().abs() > clip_range
    return (
        0.5 * masked_mean(squared, mask, num_tokens=num_tokens),
        masked_mean(outside.to(values.dtype), mask, num_tokens=num_tokens),
    )

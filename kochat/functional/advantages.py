"""Compute per-token rewards, advantages and returns from a sequence's score."""

from __future__ import annotations

import torch
from torch import Tensor

from kochat.functional.masking import zero_masked


def shaped_rewards(scores: Tensor, kl: Tensor, mask: Tensor, kl_coef: float | Tensor) -> Tensor:
    """Compute per-token rewards: a KL penalty at every token, and the sequence's score at the last token.

    r_t = -kl_coef * kl_t + [t = T] * score, so the sum of a row is score - kl_coef * sum_t kl_t
    (Ziegler et al. 2019, "Fine-Tuning Language Models from Human Preferences", eq. 2).

    Args:
        scores: Reward model's score of each sequence, shape: (b,).
        kl: KL in nats per token, shape: (b, t).
        mask: True on generated tokens, EOS included, shape: (b, t).
        kl_coef: Weight of the KL, in score per nat.

    Returns:
        Rewards, 0 in masked slots (a row without any token gets none), shape: (b, t).
    """
    slots = torch.arange(mask.shape[-1], device=mask.device)
    last = torch.where(mask, slots, -1).amax(dim=-1, keepdim=True)
    penalty = -kl_coef * zero_masked(kl, mask)
    return penalty + torch.where(mask & (slots == last), scores.unsqueeze(-1), torch.zeros_like(penalty))


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Compute generalised advantage estimates and the critic's targets.

    delta_t = r_t + gamma * V_{t+1} - V_t and A_t = delta_t + gamma * lam * A_{t+1}, computed backwards from the last
    token. After it V and A are 0: an episode ends with its response, also if that was cut off, and nothing is
    bootstrapped. The
    returns are R_t = A_t + V_t (Schulman et al. 2016, "High-Dimensional Continuous Control Using Generalized Advantage
    Estimation", eq. 16; arXiv:1506.02438).

    Args:
        rewards: r_t, shape: (b, t).
        values: V_t of the state before token t is emitted, shape: (b, t).
        mask: True on generated tokens; masked slots are skipped, wherever they are, shape: (b, t).
        gamma: Discount per token, 0..1.
        lam: Trace decay, 0 (one-step, low variance) to 1 (Monte Carlo, unbiased).

    Returns:
        Advantages and returns, 0 in masked slots, each of shape: (b, t).
    """
    rewards, values = zero_masked(rewards, mask), zero_masked(values, mask)
    advantages = torch.zeros_like(values)
    next_value = next_advantage = torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        next_advantage = torch.where(mask[:, t], delta + gamma * lam * next_advantage, next_advantage)
        next_value = torch.where(mask[:, t], values[:, t], next_value)
        advantages[:, t] = next_advantage
    advantages = zero_masked(advantages, mask)
    return advantages, advantages + values

"""Pure functions of tensors: masking, log-probabilities, KL, advantages and losses."""

from kochat.functional.advantages import gae, shaped_rewards
from kochat.functional.best_of_n import best_of_k_weights, best_of_kl, expected_best
from kochat.functional.blockwise_logprobs import linear_logprobs, linear_logprobs_and_entropy
from kochat.functional.kl import KL_KINDS, adapted_kl_coef, kl_estimate
from kochat.functional.logprobs import entropy, token_logprobs
from kochat.functional.losses import pairwise_ranking_loss, ppo_policy_loss, value_loss
from kochat.functional.masking import (
    length_mask,
    masked_mean,
    masked_whiten,
    position_ids,
    span_mask,
    zero_masked,
)
from kochat.functional.pooled_spread import within_group_std
from kochat.functional.ridge_regression import ridge_weights

__all__ = [
    "KL_KINDS",
    "adapted_kl_coef",
    "best_of_k_weights",
    "best_of_kl",
    "entropy",
    "expected_best",
    "gae",
    "kl_estimate",
    "length_mask",
    "linear_logprobs",
    "linear_logprobs_and_entropy",
    "masked_mean",
    "masked_whiten",
    "pairwise_ranking_loss",
    "position_ids",
    "ppo_policy_loss",
    "ridge_weights",
    "shaped_rewards",
    "span_mask",
    "token_logprobs",
    "value_loss",
    "within_group_std",
    "zero_masked",
]

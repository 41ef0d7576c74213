"""Sums over the ranks of a distributed run; every rank must call these alike."""

from __future__ import annotations

import lightning as L
import torch

from kochat.functional import masked_mean


def sum_over_ranks(trainer: L.Trainer, x: torch.Tensor) -> torch.Tensor:
    """Add ``x`` (any shape) over all ranks, as float32 without gradient."""
    return trainer.strategy.reduce(x.detach().clone().float(), reduce_op="sum")


def count_share(trainer: L.Trainer, mask: torch.Tensor) -> torch.Tensor:
    """Return the global count of ``mask`` (bool, any shape) divided by the number of ranks, at least 1 over it; shape: ().

    DDP averages gradients over ranks. A loss that is divided by this number has the gradient of the mean over all tokens of all
    ranks, not that of a mean of means.
    """
    return sum_over_ranks(trainer, mask.sum()).clamp(min=1) / trainer.world_size


def masked_moments(trainer: L.Trainer, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the population variance of ``x`` (b, t) under ``mask`` (b, t) over all ranks, each shape: ()."""
    count = sum_over_ranks(trainer, mask.sum()).clamp(min=1)
    mean = sum_over_ranks(trainer, masked_mean(x, mask, num_tokens=count))
    variance = sum_over_ranks(trainer, masked_mean((x - mean) ** 2, mask, num_tokens=count))
    return mean, variance


def rank_generator(device: torch.device, rank: int) -> torch.Generator:
    """Return a random state on ``device`` that follows from torch's seed and differs from rank to rank."""
    return torch.Generator(device).manual_seed(torch.initial_seed() % 2**31 + rank)

"""Sums over the ranks of a distributed run; every rank must call these functions."""

from __future__ import annotations

import lightning as L
import torch
from torch import distributed

from kochat.functional import masked_mean

_RANK_DISTANCE = 2654435769  # 2**32 over the golden ratio: its multiples are spread evenly modulo 2**32


def sum_over_ranks(trainer: L.Trainer, x: torch.Tensor) -> torch.Tensor:
    """Add ``x`` (any shape) over all ranks, as float32 without gradient."""
    return trainer.strategy.reduce(x.detach().clone().float(), reduce_op="sum")


def count_share(trainer: L.Trainer, mask: torch.Tensor) -> torch.Tensor:
    """Return the number of True values of ``mask`` (any shape) over all ranks, at least 1, divided by the number of ranks; shape: ().

    DDP averages gradients over ranks. Divide a summed loss by this number, and the gradient is that of the mean over
    all tokens of all ranks, not that of a mean of means.
    """
    return sum_over_ranks(trainer, mask.sum()).clamp(min=1) / trainer.world_size


def masked_moments(trainer: L.Trainer, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the population variance of ``x`` (b, t) under ``mask`` (b, t) over all ranks, each shape: ()."""
    count = sum_over_ranks(trainer, mask.sum()).clamp(min=1)
    mean = sum_over_ranks(trainer, masked_mean(x, mask, num_tokens=count))
    variance = sum_over_ranks(trainer, masked_mean((x - mean) ** 2, mask, num_tokens=count))
    return mean, variance


def rank_generator(device: torch.device, rank: int) -> torch.Generator:
    """Return a random generator on ``device``, seeded by torch's seed and the rank, so that each rank has its own.

    Ranks are far apart in the range of seeds: seed 0 on rank 1 must not repeat seed 1 on rank 0.
    """
    return torch.Generator(device).manual_seed((torch.initial_seed() % 2**31 + rank * _RANK_DISTANCE) % 2**32)


def leave_process_group() -> None:
    """Leave torch's group of ranks, together with all others.

    A rank that ends while its connections are open can abort another one at its exit (status 134 with gloo).
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()

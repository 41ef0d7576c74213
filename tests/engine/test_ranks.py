"""Each rank of each seed draws its own random numbers."""

import torch

from kochat.engine.ranks import rank_generator


def test_no_rank_of_one_seed_draws_like_a_rank_of_another():
    first = set()
    for seed in range(4):
        torch.manual_seed(seed)
        for rank in range(8):
            generator = rank_generator(torch.device("cpu"), rank)
            first.add(tuple(torch.rand(4, generator=generator).tolist()))
    assert len(first) == 4 * 8

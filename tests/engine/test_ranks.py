"""Each rank of each seed draws its own random numbers, and leaves the group at the end."""

import torch
from torch import distributed

from kochat.engine.ranks import leave_process_group, rank_generator


def test_no_rank_of_one_seed_draws_like_a_rank_of_another():
    first = set()
    for seed in range(4):
        torch.manual_seed(seed)
        for rank in range(8):
            generator = rank_generator(torch.device("cpu"), rank)
            first.add(tuple(torch.rand(4, generator=generator).tolist()))
    assert len(first) == 4 * 8


def test_the_group_of_ranks_is_left(tmp_path):
    leave_process_group()  # of no group
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    leave_process_group()
    assert not distributed.is_initialized()

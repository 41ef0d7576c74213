"""Two processes with uneven shards, one of them at times empty, compute what one process does."""

import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from kochat.metrics.pair_accuracy import PairAccuracy
from kochat.metrics.text_overlap import text_metrics

IDS = ["가", "나", "다다다", "b", "c"]
ANSWERS = ["서울이 수도", "부산항", "비가 와요", "네", "잘 모르겠어요"]
REFERENCES = ["서울이에요", "부산", "비가 옵니다", "네", "인천이에요"]
SCORES = torch.arange(15.0).reshape(5, 3).fmod(4)
# Rank 1 repeats what rank 0 has, as a sampler's padding does; in the second case it has nothing at all.
SHARDS = ([[0, 1, 2, 3], [4, 0]], [[0, 1, 2, 3, 4], []])


def filled(indices):
    metrics = {**text_metrics(), "preference": PairAccuracy()}
    for name, metric in metrics.items():
        for i in indices:
            row = [SCORES[i : i + 1]] if name == "preference" else [[ANSWERS[i]], [REFERENCES[i]]]
            metric.update([IDS[i]], *row)
    return metrics


def results(metrics):
    computed = {name: metric.compute() for name, metric in metrics.items()}
    rows = {}
    for name, metric in metrics.items():
        with metric.sync_context():
            rows[name] = dict(sorted(metric.rows().items()))
    preference = computed.pop("preference")
    return {name: value.item() for name, value in (computed | preference).items()}, rows


def run_rank(rank, port, expected):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    for shards in SHARDS:
        assert results(filled(shards[rank])) == expected
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_equal_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(run_rank, args=(port, results(filled(range(5)))), nprocs=2)

"""Batches hold what the contracts say, to the number."""

from __future__ import annotations

import pytest
import torch

from kochat.data.collators import BlockCollator, CompletionCollator, PreferenceCollator, PromptCollator
from kochat.data.samplers import LengthBucketSampler


def test_completion_batch() -> None:
    rows = [
        {"id": "a", "prompt_ids": [5, 6], "completion_ids": [7, 0]},
        {"id": "b", "prompt_ids": [5], "completion_ids": [0]},
    ]
    batch = CompletionCollator(pad_id=9)(rows)
    assert batch.input_ids.tolist() == [[5, 6, 7, 0], [5, 0, 9, 9]]
    assert batch.lengths.tolist() == [4, 2]
    assert batch.prompt_lengths.tolist() == [2, 1]
    assert batch.ids == ["a", "b"]
    assert batch.input_ids.dtype == torch.long


def test_block_batch() -> None:
    batch = BlockCollator(0)([{"id": "train-1", "input_ids": [1, 2, 3]}, {"id": "train-2", "input_ids": [4, 5]}])
    assert batch.input_ids.tolist() == [[1, 2, 3], [4, 5, 0]]
    assert batch.lengths.tolist() == [3, 2]
    assert batch.prompt_lengths.tolist() == [0, 0]


def test_preference_batch_encodes_each_completion_once() -> None:
    rows = [
        {"id": "a", "prompt": "p", "completions": ["1", "2", "3"], "prompt_ids": [5], "completion_ids": [[1, 0], [0], [2, 3, 0]]},
        {"id": "b", "prompt": "q", "completions": ["4", "5", "6"], "prompt_ids": [6, 7], "completion_ids": [[0], [4, 0], [0]]},
    ]  # fmt: skip
    batch = PreferenceCollator(pad_id=9)(rows)
    assert batch.input_ids.tolist() == [
        [5, 1, 0, 9],
        [5, 0, 9, 9],
        [5, 2, 3, 0],
        [6, 7, 0, 9],
        [6, 7, 4, 0],
        [6, 7, 0, 9],
    ]
    assert batch.lengths.tolist() == [3, 2, 4, 3, 4, 3]
    assert batch.prompt_lengths.tolist() == [1, 1, 1, 2, 2, 2]
    assert batch.pairs.tolist() == [[0, 1], [0, 2], [1, 2], [3, 4], [3, 5], [4, 5]]
    assert batch.grades.tolist() == [0, 1, 2, 0, 1, 2]
    assert batch.row.tolist() == [0, 0, 0, 1, 1, 1]
    assert (batch.ids, batch.prompts) == (["a", "b"], ["p", "q"])
    assert batch.completions == [["1", "2", "3"], ["4", "5", "6"]]


def test_prompt_batch_is_padded_on_the_left() -> None:
    rows = [
        {"id": "a", "prompt": "p", "reference": "r", "kind": "talk", "prompt_ids": [1, 2, 3]},
        {"id": "b", "prompt": "q", "reference": None, "kind": "fixed", "prompt_ids": [4]},
    ]
    batch = PromptCollator(pad_id=9)(rows)
    assert batch.input_ids.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert batch.lengths.tolist() == [3, 1]
    assert (batch.references, batch.kinds) == (["r", None], ["talk", "fixed"])


LENGTHS = [(7 * index) % 23 + 1 for index in range(103)]


def test_an_epoch_holds_every_row_once_and_follows_from_seed_and_epoch() -> None:
    sampler = LengthBucketSampler(LENGTHS, batch_size=8, seed=3)
    first = list(sampler)
    assert sorted(index for batch in first for index in batch) == list(range(103))
    assert len(first) == len(sampler) == 13
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(LengthBucketSampler(LENGTHS, 8, seed=4)) != first


def test_batches_hold_rows_of_like_length() -> None:
    def padding(batches: list[list[int]]) -> int:
        return sum(max(LENGTHS[i] for i in batch) * len(batch) - sum(LENGTHS[i] for i in batch) for batch in batches)

    plain = [list(range(start, min(start + 8, 103))) for start in range(0, 103, 8)]
    assert padding(list(LengthBucketSampler(LENGTHS, 8))) < 0.2 * padding(plain)


def test_pools_of_one_batch_are_a_uniform_draw_of_rows() -> None:
    """The mean length of a batch is near that of all rows; in pools of many batches it is anything from 1 to 23."""

    def spread(**options: int) -> float:
        batches = list(LengthBucketSampler(LENGTHS * 8, 16, seed=1, **options))
        assert sorted(index for batch in batches for index in batch) == list(range(len(LENGTHS) * 8))
        means = torch.tensor([sum((LENGTHS * 8)[i] for i in batch) / len(batch) for batch in batches])
        return float(means.std())

    expected = float(torch.tensor(LENGTHS).float().std()) / 16**0.5
    assert spread(pool_batches=1) == pytest.approx(expected, rel=0.3)
    assert spread() > 3 * expected


@pytest.mark.parametrize("shuffle", [True, False])
def test_ranks_share_the_batches_evenly(shuffle: bool) -> None:
    alone = list(LengthBucketSampler(LENGTHS, 8, 3, shuffle=shuffle))
    ranks = [list(LengthBucketSampler(LENGTHS, 8, 3, shuffle=shuffle, num_replicas=2, rank=rank)) for rank in range(2)]
    assert [len(batches) for batches in ranks] == [7, 7]
    together = [batch for pair in zip(*ranks, strict=True) for batch in pair]
    assert together[:13] == alone
    assert together[13] == alone[0]


def test_without_shuffle_the_longest_come_first() -> None:
    lengths = [LENGTHS[index] for batch in LengthBucketSampler(LENGTHS, 8, shuffle=False) for index in batch]
    assert lengths == sorted(LENGTHS, reverse=True)


def test_no_rows_no_batches() -> None:
    assert list(LengthBucketSampler([], 8)) == []
    assert len(LengthBucketSampler([], 8)) == 0

"""Rows are sharded, gathered in order, and written whole."""

import json

import pytest
import torch

from kochat.data.batches import PromptBatch
from kochat.engine.rank_rows import gather_rows
from kochat.storage import write_jsonl


def test_shards_of_a_batch_share_its_rows():
    ids, texts = torch.tensor([[1], [2], [3]]), ["x", "y", "z"]
    batch = PromptBatch(ids, torch.ones(3, dtype=torch.long), ["a", "b", "c"], texts, [None] * 3, ["talk"] * 3)
    shards = [batch.shard(rank, 2) for rank in range(2)]
    assert [shard.prompts for shard in shards] == [["x", "z"], ["y"]]
    assert [shard.ids for shard in shards] == [["a", "c"], ["b"]]
    assert [shard.input_ids.tolist() for shard in shards] == [[[1], [3]], [[2]]]


def test_the_first_row_of_an_id_stands():
    assert gather_rows([{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"id": "a", "n": 3}]) == [
        {"id": "a", "n": 1},
        {"id": "b", "n": 2},
    ]


def test_ranks_take_turns_as_the_sampler_dealt(monkeypatch):
    # Five rows dealt to two ranks, the first repeated to fill: 0 2 4 and 1 3 0.
    dealt = [[{"id": i} for i in (0, 2, 4)], [{"id": i} for i in (1, 3, 0)]]

    def all_gather_object(shards, rows):
        assert rows is dealt[0]
        shards[:] = dealt

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_gather_object", all_gather_object)
    assert [row["id"] for row in gather_rows(dealt[0])] == [0, 1, 2, 3, 4]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "folder" / "rows.jsonl"
    write_jsonl(path, [{"id": "가"}])
    with pytest.raises(ValueError, match="JSON"):
        write_jsonl(path, [{"id": "나"}, {"id": float("nan")}])
    assert path.read_text(encoding="utf-8") == '{"id": "가"}\n'
    write_jsonl(path, [{"id": "나"}, {"id": "다"}])
    assert [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()] == ["나", "다"]
    assert [file.name for file in path.parent.iterdir()] == ["rows.jsonl"]

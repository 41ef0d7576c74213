"""A reward model's scores of the test records are written once each."""

import json
import math

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from kochat.engine.nan_guard import NonFiniteError
from kochat.stages.reward_model.preference_scores import PreferenceScores
from kochat.stages.reward_model.scored_batch import ScoredBatch
from tests.engine.toy import ToyChat, toy_trainer


def scored(ids, *scores):
    return ScoredBatch(ids, [f"{id_}?" for id_ in ids], [["상", "중", "하"]] * len(ids), torch.tensor(scores))


RECORDS = [
    scored(["a", "b"], [2.0, 0.5, -1.0], [1.0, 1.25, 0.0]),
    scored(["c", "a"], [0.0, 0.0, 0.0], [2.0, 0.5, -1.0]),
]


class Records(Dataset):
    def __init__(self, records):
        self.records = records

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        return torch.tensor(index)


class ToyReward(ToyChat):
    def __init__(self, records):
        super().__init__()
        self.records = records

    def test_step(self, batch, batch_idx):
        return self.records[int(batch)]


def run(tmp_path, records):
    trainer = toy_trainer(tmp_path, PreferenceScores())
    trainer.test(ToyReward(records), DataLoader(Records(records), batch_size=None), verbose=False)
    return [json.loads(line) for line in (tmp_path / "rm_scores.jsonl").read_text(encoding="utf-8").splitlines()]


def test_one_line_a_record(tmp_path):
    rows = run(tmp_path, RECORDS)
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert rows[1] == {"id": "b", "prompt": "b?", "completions": ["상", "중", "하"], "scores": [1.0, 1.25, 0.0]}


def test_a_score_that_is_no_number_is_an_error(tmp_path):
    with pytest.raises(NonFiniteError, match="test batch 0 is not finite"):
        run(tmp_path, [scored(["a"], [1.0, math.nan, 0.0])])

"""A reward model's scores of the test records are written once each."""

import json
import math

import pytest
import torch
from torch.utils.data import DataLoader

from kochat.engine.nan_guard import NonFiniteError
from kochat.errors import UserError
from kochat.stages.reward_model.preference_scores import PreferenceScores
from tests.engine.toy import ToyChat, toy_trainer

RECORDS = [
    {"ids": ["a", "b"], "scores": torch.tensor([[2.0, 0.5, -1.0], [1.0, 1.25, 0.0]])},
    {"ids": ["c", "a"], "scores": torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.5, -1.0]])},
]


class ToyReward(ToyChat):
    def test_step(self, batch, batch_idx):
        texts = {
            "prompts": [f"{id_}?" for id_ in batch["ids"]],
            "completions": [["상", "중", "하"]] * len(batch["ids"]),
        }
        return batch | texts


def run(tmp_path, records):
    trainer = toy_trainer(tmp_path, PreferenceScores())
    trainer.test(ToyReward(), DataLoader(records, batch_size=None), verbose=False)
    return [json.loads(line) for line in (tmp_path / "rm_scores.jsonl").read_text(encoding="utf-8").splitlines()]


def test_one_line_a_record(tmp_path):
    rows = run(tmp_path, RECORDS)
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert rows[1] == {"id": "b", "prompt": "b?", "completions": ["상", "중", "하"], "scores": [1.0, 1.25, 0.0]}


def test_a_score_that_is_no_number_is_an_error(tmp_path):
    with pytest.raises(NonFiniteError, match="test batch 0 is not finite"):
        run(tmp_path, [{"ids": ["a"], "scores": torch.tensor([[1.0, math.nan, 0.0]])}])


def test_another_output_is_an_error(tmp_path):
    callback = PreferenceScores()
    with pytest.raises(UserError, match="dict of ids, prompts, completions, scores"):
        callback.on_test_batch_end(None, None, None, None, 0)

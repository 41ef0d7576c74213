"""Scoring answers: the reward model reads prompt and answer as in training, padding and order change nothing."""

import json
from enum import Enum

import pytest
import torch

from kochat.data.encoding import encode_completion, encode_prompt
from kochat.errors import UserError
from kochat.nn.rows import PaddedRows, last_scores
from kochat.runs import EXPORT_INFO_FILE
from kochat.study import scoring
from kochat.study.scoring import RewardScorer, score_run
from tests.stages.harness import write_stage

PAIRS = [
    ("안녕하세요", "반갑습니다! 무엇을 도와드릴까요?"),
    ("프랑스의 수도는 어디인가요?", "파리입니다."),
    ("오늘 날씨가 참 좋네요", ""),
]


@pytest.fixture(scope="module")
def scorer(tmp_path_factory, base, tokenizer):
    folder = write_stage(tmp_path_factory.mktemp("rm") / "export", base, tokenizer, 4, value=True)
    return RewardScorer(folder, max_length=128)  # written with reward_mean 0.25 and reward_std 2


def alone(scorer, prompt, answer):
    """Score one row by itself."""
    ids = encode_prompt(scorer.tokenizer, prompt) + encode_completion(scorer.tokenizer, answer)
    assert ids[-1] == scorer.tokenizer.eos_token_id
    ids = torch.tensor([ids])
    with torch.no_grad():
        rows = PaddedRows(ids, torch.ones_like(ids, dtype=torch.bool))
        return (last_scores(scorer.model.role, rows).item() - 0.25) / 2


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_scores_are_those_of_each_row_alone(scorer, batch_size):
    assert scorer(PAIRS, batch_size) == pytest.approx([alone(scorer, *pair) for pair in PAIRS], abs=1e-5)


def test_order_is_that_of_the_rows(scorer):
    assert scorer(PAIRS[::-1]) == pytest.approx(scorer(PAIRS)[::-1], abs=1e-5)


def test_long_answers_lose_their_end_but_not_eos(scorer, tmp_path, base, tokenizer):
    """The score is read at EOS in training."""
    whole = scorer.encode(*PAIRS[0])
    width = len(whole) - 3
    short = RewardScorer(write_stage(tmp_path / "export", base, tokenizer, 4, value=True), max_length=width)
    assert short.encode(*PAIRS[0]) == [*whole[: width - 1], tokenizer.eos_token_id]


class Verdict(Enum):
    CORRECT = "correct"
    WRONG = "wrong_fact"


def judge(prompt, answer):
    return Verdict.CORRECT if answer == "파리입니다." else Verdict.WRONG


@pytest.fixture
def run(tmp_path):
    rows = [
        {"id": str(i), "prompt": p, "answer": a, "reference": None, "kind": "talk", "scores": {"chrf": 0.5}}
        for i, (p, a) in enumerate(PAIRS)
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "samples.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def scored(run):
    return [json.loads(line) for line in (run / "scored.jsonl").read_text(encoding="utf-8").splitlines()]


def test_reward_and_verdict_stand_beside_the_other_scores(run, scorer):
    score_run(run, scorer, judge)
    rows = scored(run)
    assert [row["id"] for row in rows] == ["0", "1", "2"]
    assert [row["scores"]["verdict"] for row in rows] == ["wrong_fact", "correct", "wrong_fact"]
    assert [row["scores"]["reward"] for row in rows] == pytest.approx(scorer(PAIRS))
    assert all(row["scores"]["chrf"] == 0.5 for row in rows)
    assert {path.name for path in run.iterdir()} == {"samples.jsonl", "scored.jsonl"}


def test_without_judges_there_is_nothing_to_say(run):
    score_run(run, None, None)
    assert [row["scores"] for row in scored(run)] == [{"chrf": 0.5, "reward": None, "verdict": None}] * 3


def test_rows_are_scored_without_padding_as_in_training(scorer, monkeypatch):
    asked = []

    def watched(ids, mask, *, unpad):
        asked.append(unpad)
        return PaddedRows(ids, mask)

    monkeypatch.setattr(scoring, "rows_of", watched)
    scorer(PAIRS)
    assert asked == [True]


def without(folder, *names):
    path = folder / EXPORT_INFO_FILE
    info = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({key: value for key, value in info.items() if key not in names}), encoding="utf-8")


@pytest.mark.parametrize("name", ["reward_mean", "reward_std"])
def test_a_reward_model_of_ours_without_statistics_is_refused(tmp_path, base, tokenizer, name):
    folder = write_stage(tmp_path / "export", base, tokenizer, 4, value=True)
    without(folder, name)
    with pytest.raises(UserError, match=r"reward_model: .*export was exported without a validation.*train it again"):
        RewardScorer(folder, max_length=64)

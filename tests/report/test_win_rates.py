import json

import pytest

from kochat.report.study_files import Answer, Done, RunEntry
from kochat.report.study_results import Run
from kochat.report.win_rates import by_endpoint, by_facts, by_reward, count_wins


def run(name, rows):
    answers = [
        Answer(id=str(i), prompt="?", answer=text, kind="usual", scores={"reward": reward, "verdict": verdict})
        for i, (text, reward, verdict) in enumerate(rows)
    ]
    return Run(entry=RunEntry(name=name, stage="sft", path=name), done=Done(), answers=answers)


OURS = run("a", [("x", 1.0, "correct"), ("y", 0.0, "wrong"), ("z", 2.0, "unknown"), ("w", 0.5, None)])
THEIRS = run("b", [("x", 0.0, "wrong"), ("y", 0.0, "malformed"), ("q", 3.0, "correct"), ("w", 0.0, None)])


def test_wins_ties_and_losses_by_hand():
    found = count_wins([1, 1, 0, -1])
    assert (found.wins, found.ties, found.losses) == (2, 1, 1)
    assert found.rate.value == pytest.approx(2.5 / 4)
    assert count_wins([]).rate is None


def test_by_reward_and_by_facts():
    reward, facts = by_reward(OURS, THEIRS), by_facts(OURS, THEIRS)
    assert (reward.wins, reward.ties, reward.losses) == (2, 1, 1)
    assert (facts.wins, facts.ties, facts.losses) == (
        1,
        1,
        1,
    )  # wrong and malformed are both no answer; talk is not judged


def test_judgements_of_answers_that_changed_do_not_count(tmp_path):
    rows = [
        {"id": "0", "ours": "x", "theirs": "x", "preference": 0},
        {"id": "2", "ours": "z", "theirs": "an older answer", "preference": 1},
    ]
    (tmp_path / "duels").mkdir()
    (tmp_path / "duels" / "a--b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = by_endpoint(tmp_path, OURS, THEIRS)
    assert (found.wins, found.ties, found.losses) == (0, 1, 0)
    assert by_endpoint(tmp_path, THEIRS, OURS).rate is None

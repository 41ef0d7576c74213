"""Recall by kind of dirt and precision, counted by hand on a few rows."""

import json

import pytest

from kochat.study.dirt_scores import dirt_scores

LABELS = [
    {"file": "a.jsonl", "index": 0, "kind": "whitespace", "of": None},
    {"file": "a.jsonl", "index": 1, "kind": "whitespace", "of": None},
    {"file": "a.jsonl", "index": 5, "kind": "duplicate", "of": 3},
    {"file": "b.jsonl", "index": 0, "kind": "duplicate", "of": 2},
]


def written(tmp_path, labels, touched):
    for folder, name, rows in (("v1", "dirt.jsonl", labels), ("v2", "ledger.jsonl", touched)):
        (tmp_path / folder).mkdir()
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / folder / name).write_text(text, encoding="utf-8")
    return dirt_scores(tmp_path / "v1", tmp_path / "v2")


def line(file, index, rule="whitespace"):
    return {"file": file, "index": index, "rule": rule}


def test_by_hand(tmp_path):
    """Found: one of two whitespace rows, the first duplicate by its other copy; row 9 was touched without need."""
    touched = [
        line("a.jsonl", 0),
        line("a.jsonl", 0, "quotes"),
        line("a.jsonl", 3, "exact_duplicate"),
        line("a.jsonl", 9),
    ]
    scores = written(tmp_path, LABELS, touched)
    assert scores == {
        "duplicate": {"planted": 2, "found": 1, "recall": 0.5},
        "whitespace": {"planted": 2, "found": 1, "recall": 0.5},
        "all": {"planted": 4, "found": 2, "recall": 0.5, "touched": 3, "precision": pytest.approx(2 / 3)},
    }


def test_the_same_index_in_another_file_is_another_row(tmp_path):
    scores = written(tmp_path, LABELS[:1], [line("b.jsonl", 0)])
    assert scores["whitespace"]["found"] == 0
    assert scores["all"]["precision"] == 0


def test_nothing_planted_and_nothing_touched(tmp_path):
    assert written(tmp_path, [], []) == {
        "all": {"planted": 0, "found": 0, "recall": 1.0, "touched": 0, "precision": 1.0}
    }

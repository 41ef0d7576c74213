"""Recall by kind of dirt and precision by rule, counted by hand on a few rows."""

import json

import pytest

from kochat.study.dirt_recall import dirt_scores


def label(file, index, kind, action="drop", field=None, clean=None, of=None):
    return {"file": file, "index": index, "kind": kind, "action": action, "field": field, "clean": clean, "of": of}


LABELS = [
    label("a.jsonl", 0, "whitespace", "repair", "prompt", "가 나"),
    label("a.jsonl", 1, "whitespace", "repair", "prompt", "다"),
    label("a.jsonl", 5, "exact_duplicate", of=3),
    label("b.jsonl", 0, "exact_duplicate", of=2),
    label("b.jsonl", 7, "english_noise"),
]


def written(tmp_path, labels, touched):
    for folder, name, rows in (("v1", "dirt.jsonl", labels), ("v2", "ledger.jsonl", touched)):
        (tmp_path / folder).mkdir()
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / folder / name).write_text(text, encoding="utf-8")
    return dirt_scores(tmp_path / "v1", tmp_path / "v2")


def changed(file, index, rule, after, field="prompt"):
    return {"file": file, "index": index, "rule": rule, "action": "changed", "field": field, "after": after}


def dropped(file, index, rule):
    return {"file": file, "index": index, "rule": rule, "action": "dropped", "field": None, "after": None}


def test_by_hand(tmp_path):
    """Found: one of two repairs, the first duplicate by its other copy, the noise; row 9 was touched without need."""
    touched = [
        changed("a.jsonl", 0, "whitespace", "가 나"),
        changed("a.jsonl", 1, "whitespace", "다 라"),  # mended, but not to the clean text
        dropped("a.jsonl", 3, "exact_duplicate"),
        dropped("b.jsonl", 7, "non_korean"),
        dropped("b.jsonl", 9, "non_korean"),
        dropped("b.jsonl", 8, "cut_off"),
    ]
    assert written(tmp_path, LABELS, touched) == {
        "english_noise": {"planted": 1, "found": 1, "recall": 1.0, "touched": 2, "precision": 0.5},
        "exact_duplicate": {"planted": 2, "found": 1, "recall": 0.5, "touched": 1, "precision": 1.0},
        "whitespace": {"planted": 2, "found": 1, "recall": 0.5, "touched": 2, "precision": 1.0},
        "cut_off": {"touched": 1, "precision": 0.0},
        "all": {"planted": 5, "found": 3, "recall": 0.6, "touched": 6, "precision": pytest.approx(4 / 6)},
    }


def test_dirt_that_should_go_is_not_found_by_an_edit(tmp_path):
    scores = written(tmp_path, [label("a.jsonl", 0, "noise")], [changed("a.jsonl", 0, "unicode", "가")])
    assert scores["noise"]["found"] == 0


def test_the_same_index_in_another_file_is_another_row(tmp_path):
    scores = written(tmp_path, LABELS[:1], [changed("b.jsonl", 0, "whitespace", "가 나")])
    assert scores["whitespace"]["found"] == 0
    assert scores["all"]["precision"] == 0


def test_rows_that_left_for_the_test_set_are_not_counted(tmp_path):
    labels = [label("a.jsonl", 0, "noise"), label("a.jsonl", 1, "exact_duplicate", of=0), LABELS[1]]
    touched = [
        dropped("a.jsonl", 0, "held_out"),
        changed("a.jsonl", 1, "whitespace", "다"),
        dropped("a.jsonl", 1, "near_test"),
    ]
    scores = written(tmp_path, labels, touched)
    assert {kind: (values["planted"], values["found"]) for kind, values in scores.items()} == {
        "whitespace": (1, 1),
        "all": (1, 1),
    }


def test_nothing_planted_and_nothing_touched(tmp_path):
    assert written(tmp_path, [], []) == {
        "all": {"planted": 0, "found": 0, "recall": 1.0, "touched": 0, "precision": 1.0}
    }

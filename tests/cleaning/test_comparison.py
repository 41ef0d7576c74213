"""Rows beside others: duplicates, near ones, conflicts and leaks, each with the place of what it repeats."""

from __future__ import annotations

from pathlib import Path

import pytest

from kochat.cleaning.cleaner import clean
from kochat.cleaning.settings import CleanSettings
from kochat.data.files import CORPUS_FILE, PREFERENCE_FILE, SFT_FILE
from tests.data.raw_data import read, sound_rows, write

ROWS = sound_rows(40)
EXACT = {"prompt": ROWS[3]["prompt"] + "!", "completion": ROWS[3]["completion"]}  # the same key
NEAR = {"prompt": "음, " + ROWS[7]["prompt"], "completion": ROWS[7]["completion"]}
OTHER = {"prompt": ROWS[9]["prompt"], "completion": "아니요, 도서관에는 고양이가 아주 많이 살아요."}


def cleaned(tmp_path: Path, rows: list[dict], **settings) -> tuple[list[dict], list[dict]]:
    write(tmp_path / "v1" / SFT_FILE, rows)
    clean(tmp_path / "v1", tmp_path / "v2", CleanSettings(**settings))
    return read(tmp_path / "v2" / SFT_FILE), read(tmp_path / "v2" / "ledger.jsonl")


def test_the_first_of_copies_stays_and_the_others_name_it(tmp_path: Path) -> None:
    kept, ledger = cleaned(tmp_path, [*ROWS, EXACT, NEAR, OTHER, NEAR])
    assert kept == [*ROWS, OTHER]
    assert [(line["rule"], line["place"]) for line in ledger] == [
        ("exact_duplicate", "line 41"),
        ("near_duplicate", "line 42"),
        ("exact_duplicate", "line 44"),
    ]
    assert ledger[0]["reason"] == "same as line 4"
    assert ledger[1]["reason"].startswith("near duplicate (0.9")
    assert ledger[1]["reason"].endswith(f" of line 8: {ROWS[7]['prompt']} | {ROWS[7]['completion']}")


def test_the_first_answer_to_a_prompt_stays_where_conflicts_go(tmp_path: Path) -> None:
    kept, ledger = cleaned(tmp_path, [*ROWS, OTHER], rules={"conflict": True})
    assert kept == ROWS
    assert [(line["rule"], line["reason"]) for line in ledger] == [
        ("conflict", "gives another answer to the prompt of line 10")
    ]


@pytest.mark.parametrize(("rule", "row"), [("exact_duplicate", EXACT), ("near_duplicate", NEAR)])
def test_rules_can_be_switched_off(tmp_path: Path, rule: str, row: dict) -> None:
    kept, ledger = cleaned(tmp_path, [*ROWS, row], rules={"exact_duplicate": False, "near_duplicate": False})
    assert kept == [*ROWS, row]
    assert ledger == []


def test_the_same_prompt_with_other_completions_is_no_conflict_of_preferences(tmp_path: Path) -> None:
    ranked = [
        {
            "prompt": ROWS[0]["prompt"],
            "completion_0": row["completion"],
            "completion_1": "글쎄요.",
            "completion_2": "음, 몰라요.",
        }
        | {"ranking": [0, 1, 2]}
        for row in ROWS[:2]
    ]
    write(tmp_path / "v1" / PREFERENCE_FILE, ranked)
    report = clean(tmp_path / "v1", tmp_path / "v2", CleanSettings(rules={"conflict": True}))
    assert report.files[PREFERENCE_FILE].kept == 2


def test_a_corpus_text_is_held_against_its_own_file_alone(tmp_path: Path) -> None:
    texts = [{"text": row["completion"], "source": "이야기"} for row in ROWS]
    write(tmp_path / "v1" / SFT_FILE, ROWS)
    write(
        tmp_path / "v1" / CORPUS_FILE,
        [*texts, {"text": ROWS[0]["completion"], "source": "딴 이야기"}, {"text": "안녕하세요", "source": ""}],
    )
    report = clean(tmp_path / "v1", tmp_path / "v2")
    assert report.files[SFT_FILE].kept == 40
    assert report.files[CORPUS_FILE].dropped_by == {"exact_duplicate": 1}  # a fixed prompt may stand in a corpus

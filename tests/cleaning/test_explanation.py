"""What a rule did is shown side by side, from a ledger or from a cleaning that leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from kochat.cleaning.cleaner import clean
from kochat.cleaning.explanation import explain, visible
from kochat.cli import main
from kochat.data.files import SFT_FILE
from kochat.errors import UserError
from tests.data.raw_data import sound_rows, write

ROWS = sound_rows(30)
DIRTY = [{"prompt": row["prompt"], "completion": f" {row['completion']}  "} for row in ROWS[:12]]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write(
        tmp_path / "v1" / SFT_FILE, [*DIRTY, *ROWS[12:], ROWS[20], {"prompt": "음", "completion": "짧은 질문"}]
    ).parent


def test_an_edit_stands_before_and_after_in_two_columns(raw: Path, tmp_path: Path) -> None:
    clean(raw, tmp_path / "v2")
    blocks = explain(tmp_path / "v2", "whitespace", width=100).split("\n\n")
    assert blocks[0].startswith("whitespace: single blanks")
    assert blocks[1] == "12 changed; 10 shown, drawn by hash"
    assert len(blocks) == 12
    head, _, first = blocks[2].splitlines()[:3]
    assert head.startswith(f"{SFT_FILE}, line 1, completion (row ")
    left, right = first.split("│")
    assert left.strip() == "·" + ROWS[0]["completion"] + "··"
    assert right.strip() == ROWS[0]["completion"]
    assert blocks[2:] == explain(tmp_path / "v2", "whitespace", width=100).split("\n\n")[2:]


def test_a_drop_stands_beside_its_reason(raw: Path, tmp_path: Path) -> None:
    clean(raw, tmp_path / "v2")
    text = explain(tmp_path / "v2", "exact_duplicate")
    assert "1 dropped" in text
    assert f"prompt: {ROWS[20]['prompt']}" in text
    assert "│ [dropped] same as line 21" in text
    assert explain(tmp_path / "v2", "near_test").endswith("did nothing here")


def test_korean_letters_take_two_columns(raw: Path, tmp_path: Path) -> None:
    clean(raw, tmp_path / "v2")
    lines = explain(tmp_path / "v2", "too_short", width=43).splitlines()
    bars = [line for line in lines if "│" in line]
    assert [line.partition("│")[0] for line in bars[:2]] == ["prompt: 음" + " " * 11, "completion: 짧은 질 "[:17] + " "]


def test_with_raw_data_nothing_is_written(raw: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")  # as wide a terminal wherever the test runs
    assert main(["clean", str(raw), "--out", str(tmp_path / "v2"), "--explain", "too_short"]) == 0
    out = capsys.readouterr().out
    assert "prompt: 음" in out
    assert "[dropped] prompt: 1 characters, fewer than 2" in out
    assert not (tmp_path / "v2").exists()


def test_without_raw_data_the_ledger_is_read(raw: Path, tmp_path: Path, capsys) -> None:
    clean(raw, tmp_path / "v2")
    assert main(["clean", "--out", str(tmp_path / "v2"), "--explain", "too_short"]) == 0
    assert "prompt: 음" in capsys.readouterr().out


def test_mistakes(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"--explain=near: there is no such rule; the rules are bad_record, correction, unicode, "
    ):
        explain(tmp_path, "near")
    with pytest.raises(UserError, match=r"ledger\.jsonl: no such file; make it with: python -m kochat clean"):
        explain(tmp_path, "near_test")
    clean(raw, tmp_path / "v2")
    (tmp_path / "v2" / "ledger.jsonl").write_text("{broken\n")
    with pytest.raises(UserError, match=r"ledger\.jsonl: line 1: is not what kochat wrote; clean again"):
        explain(tmp_path / "v2", "near_test")


def test_what_cannot_be_seen_is_made_visible() -> None:
    assert visible("\u200b가  나\t다 \n\ud800") == "<U+200B>가··나→다·↵\n<U+D800>"

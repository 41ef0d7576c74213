"""Corrections by hand: they come before the rules, stand in ledger and manifest, and a stale or wrong one is an error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from kochat.cleaning.cleaner import clean
from kochat.cleaning.corrections import load_corrections
from kochat.data.files import PROMPT_FILE, SFT_FILE
from kochat.data.records import SFTRecord
from kochat.errors import UserError
from tests.data.raw_data import read, sound_rows, write

ROWS = sound_rows(110)
WRONG, ADVERTISEMENT = SFTRecord(**ROWS[3]).key, SFTRecord(**ROWS[5]).key
MENDED = "이제는 맞는 답이에요."


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write(tmp_path / "v1" / SFT_FILE, ROWS).parent


def corrections(tmp_path: Path, *entries: dict) -> Path:
    return write(tmp_path / "corrections.jsonl", list(entries))


def replace(row: str, **fields: object) -> dict:
    return {"row": row, "action": "replace", "set": fields, "reason": "wrong fact"}


def test_a_row_is_mended_and_a_row_goes(raw: Path, tmp_path: Path) -> None:
    drop = {"row": ADVERTISEMENT, "action": "drop", "reason": "an advertisement", "file": SFT_FILE}
    path = corrections(tmp_path, replace(WRONG, completion=f" {MENDED}"), drop)
    report = clean(raw, tmp_path / "v2", corrections=path)
    assert read(tmp_path / "v2" / SFT_FILE) == [
        *ROWS[:3],
        {"prompt": ROWS[3]["prompt"], "completion": MENDED},
        ROWS[4],
        *ROWS[6:],
    ]
    assert report.files[SFT_FILE].changed_by == {"correction": 1, "whitespace": 1}  # the rules come after it
    assert report.files[SFT_FILE].dropped_by == {"correction": 1}
    first, _, last = read(tmp_path / "v2" / "ledger.jsonl")
    assert first == {
        "file": SFT_FILE,
        "index": 3,
        "place": "line 4",
        "row": WRONG,
        "action": "changed",
        "rule": "correction",
        "reason": "wrong fact",
        "field": "completion",
        "before": ROWS[3]["completion"],
        "after": f" {MENDED}",
    }
    assert (last["rule"], last["action"], last["reason"], last["row"]) == (
        "correction",
        "dropped",
        "an advertisement",
        ADVERTISEMENT,
    )
    manifest = json.loads((tmp_path / "v2" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["corrections"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_row_that_could_not_be_read_can_be_mended(raw: Path, tmp_path: Path) -> None:
    with (raw / SFT_FILE).open("a", encoding="utf-8") as stream:
        stream.write('{"prompt": "새로운 질문이에요", "completion": null}\n')
    clean(raw, tmp_path / "v2")
    (skipped,) = read(tmp_path / "v2" / "ledger.jsonl")
    assert skipped["rule"] == "bad_record"
    path = corrections(tmp_path, replace(skipped["row"], completion=MENDED))
    report = clean(raw, tmp_path / "v2", corrections=path)
    assert report.files[SFT_FILE].skipped == 0
    assert read(tmp_path / "v2" / SFT_FILE)[-1] == {"prompt": "새로운 질문이에요", "completion": MENDED}


def test_a_correction_for_another_file_does_nothing_here(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 of 1 corrections match no row"):
        clean(
            raw,
            tmp_path / "v2",
            corrections=corrections(tmp_path, replace(WRONG, prompt="가나") | {"file": PROMPT_FILE}),
        )


def test_stale_corrections_are_listed(raw: Path, tmp_path: Path) -> None:
    stale = [replace(f"{number:016x}", prompt="가나") for number in range(7)]
    path = corrections(tmp_path, replace(WRONG, completion=MENDED), *stale)
    with pytest.raises(UserError) as caught:
        clean(raw, tmp_path / "v2", corrections=path)
    assert str(caught.value).startswith(
        f"{path}: 7 of 8 corrections match no row: line 2 (0000000000000000), line 3 (0000000000000001), "
    )
    assert "and 2 more; correct or remove them" in str(caught.value)
    assert not (tmp_path / "v2").exists()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([replace("xyz", prompt="가")], r'line 1: "row" is \'xyz\''),
        ([replace(WRONG)], r'line 1: a "replace" needs "set" with at least one field'),
        ([replace(WRONG, prompt="가") | {"action": "drop"}], r'line 1: a "replace" needs "set" .* a "drop" has none'),
        ([replace(WRONG, prompt="가") | {"action": "mend"}], r'line 1: "action" is \'mend\''),
        ([replace(WRONG, prompt="가") | {"why": "x"}], r'line 1: "why" is \'x\''),
        ([{"row": WRONG, "action": "drop"}], r'line 1: has no "reason"'),
        ([replace(WRONG, promt="가")], r"line 1: \"set\" names 'promt', which no record has"),
        (
            [replace(WRONG, prompt="가"), replace(WRONG, prompt="나")],
            rf"line 2: row {WRONG} was corrected before, on line 1",
        ),
        (["drop"], r"line 1: is text, not an object"),
    ],
)
def test_a_wrong_file_of_corrections(tmp_path: Path, entries: list, message: str) -> None:
    with pytest.raises(UserError, match=rf"corrections\.jsonl: {message}"):
        load_corrections(corrections(tmp_path, *entries))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": "가"}, r"line 1: \"set\" names 'text'; a record of that file has prompt, completion"),
        ({"prompt": None}, r'line 1: the corrected row is not valid: line 4: "prompt" is null, not text'),
    ],
)
def test_a_correction_that_does_not_fit_its_row(raw: Path, tmp_path: Path, fields: dict, message: str) -> None:
    with pytest.raises(UserError, match=rf"corrections\.jsonl: {message}"):
        clean(raw, tmp_path / "v2", corrections=corrections(tmp_path, replace(WRONG, **fields)))

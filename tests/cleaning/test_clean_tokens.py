"""Bounds in tokens apply with a tokenizer, count what training would see, and are refused without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kochat.cleaning import workers
from kochat.cleaning.cleaner import clean
from kochat.cleaning.settings import CleanSettings
from kochat.cli import main
from kochat.data.encoding import encode_completion, encode_prompt
from kochat.data.files import CORPUS_FILE, PREFERENCE_FILE, SFT_FILE
from kochat.errors import UserError
from tests.data.raw_data import read, sound_rows, write

ROWS = sound_rows(30)


def tokens(tokenizer, prompt: str, completion: str) -> int:
    return len(encode_prompt(tokenizer, prompt)) + len(encode_completion(tokenizer, completion))


@pytest.mark.parametrize("count", [1, 2])
def test_a_row_with_more_tokens_than_the_bound_goes(tmp_path: Path, tokenizer, monkeypatch, count: int) -> None:
    monkeypatch.setattr(workers, "BYTES_PER_WORKER", 1)
    write(tmp_path / "v1" / SFT_FILE, ROWS)
    lengths = [tokens(tokenizer, **row) for row in ROWS]
    bound = sorted(lengths)[20]
    report = clean(
        tmp_path / "v1", tmp_path / "v2", CleanSettings(max_tokens=bound), workers=count, tokenizer=tokenizer
    )
    kept = [row for row, length in zip(ROWS, lengths, strict=True) if length <= bound]
    assert 20 < len(kept) < 30
    assert read(tmp_path / "v2" / SFT_FILE) == kept
    assert report.files[SFT_FILE].dropped_by == {"too_long": 30 - len(kept)}
    reason = read(tmp_path / "v2" / "ledger.jsonl")[0]["reason"]
    assert reason == f"{next(length for length in lengths if length > bound)} tokens, more than {bound}"
    manifest = json.loads((tmp_path / "v2" / "manifest.json").read_text(encoding="utf-8"))
    assert len(manifest["tokenizer"]) == 16


def test_the_longest_completion_counts_and_a_corpus_text_alone(tmp_path: Path, tokenizer) -> None:
    prompt, completions = ROWS[0]["prompt"], ["네, 그래요.", ROWS[0]["completion"], "글쎄요."]
    record = (
        {"prompt": prompt} | {f"completion_{at}": text for at, text in enumerate(completions)} | {"ranking": [0, 1, 2]}
    )
    short = record | {"prompt": ROWS[1]["prompt"][:8], "completion_1": "음, 아니요."}
    write(tmp_path / "v1" / PREFERENCE_FILE, [record, short])
    text = {"text": ROWS[0]["completion"] * 3, "source": ""}
    write(tmp_path / "v1" / CORPUS_FILE, [text, {"text": ROWS[1]["completion"], "source": ""}])
    bound = tokens(tokenizer, prompt, completions[1]) - 1
    assert (
        len(encode_completion(tokenizer, text["text"]))
        > bound
        > len(encode_completion(tokenizer, ROWS[1]["completion"]))
    )
    settings = CleanSettings(max_tokens=bound, rules={"repetition": False})
    clean(tmp_path / "v1", tmp_path / "v2", settings, tokenizer=tokenizer)
    assert read(tmp_path / "v2" / PREFERENCE_FILE) == [short]
    assert len(read(tmp_path / "v2" / CORPUS_FILE)) == 1


def test_one_without_the_other_is_a_mistake(tmp_path: Path, tokenizer) -> None:
    write(tmp_path / "v1" / SFT_FILE, ROWS)
    with pytest.raises(UserError, match="max_tokens needs a tokenizer; give --tokenizer"):
        clean(tmp_path / "v1", tmp_path / "v2", CleanSettings(max_tokens=9))
    with pytest.raises(UserError, match="--tokenizer: has no effect because max_tokens is not set"):
        clean(tmp_path / "v1", tmp_path / "v2", tokenizer=tokenizer)


def test_the_command_takes_a_folder(tmp_path: Path, tokenizer) -> None:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    write(
        tmp_path / "v1" / SFT_FILE,
        [*ROWS, {"prompt": ROWS[0]["prompt"], "completion": "네, " + ROWS[9]["completion"] * 2}],
    )
    write(tmp_path / "clean.yaml", [])
    (tmp_path / "clean.yaml").write_text(
        f"max_tokens: {max(tokens(tokenizer, **row) for row in ROWS)}\n", encoding="utf-8"
    )
    options = ["--config", str(tmp_path / "clean.yaml"), "--tokenizer", str(tmp_path / "tokenizer")]
    assert main(["clean", str(tmp_path / "v1"), "--out", str(tmp_path / "v2"), *options]) == 0
    assert read(tmp_path / "v2" / SFT_FILE) == ROWS

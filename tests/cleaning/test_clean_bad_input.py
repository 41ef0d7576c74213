"""Whatever is wrong with the input is said in one line, with exit status 2, and leaves nothing half-written."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path

import pytest

from kochat.cli import main
from kochat.data.files import PREFERENCE_FILE, PROMPT_FILE, SFT_FILE
from kochat.errors import UserError
from tests.data.raw_data import files, read, sound_rows, write

LINE = '{"prompt": "고양이는 왜 물을 싫어할까", "completion": "털이 젖으면 몸이 무거워져요."}\n'
RANKED = {"prompt": "질문", "completion_0": "가나", "completion_1": "나다", "completion_2": "다라"}

# (name of the case, file, content, what the message must match)
FILES = [
    ("CP949", SFT_FILE, LINE.encode("cp949"), r"line 1: is not UTF-8; it reads as CP949: convert it with: iconv -f CP949"),
    ("CP949 array", SFT_FILE, f"[{LINE}]".encode("cp949"), r"line 1: is not UTF-8; it reads as CP949"),
    ("CP949 at its end", SFT_FILE, (LINE * 500).encode() + LINE.encode("cp949"), r"line 501: is not UTF-8"),
    ("UTF-16", SFT_FILE, LINE.encode("utf-16"), r"line 1: is not UTF-8; it reads as UTF-16"),
    ("truncated array", SFT_FILE, f"[{LINE},{LINE}"[:-30], r"line 2: broken JSON .*cut off: copy or download it again"),
    ("truncated last line", SFT_FILE, (LINE * 500)[:-30], r"line 500: broken JSON .*cut off"),
    ("truncated archive", SFT_FILE + ".gz", gzip.compress((LINE * 9).encode())[:-9], r"cannot be read to its end .*copy"),
    ("text after an array", SFT_FILE, f"[{LINE}]\n{LINE}", r"line 3: there is more text after the array's end"),
    ("broken line", SFT_FILE, LINE + "{broken}\n", r"line 2: broken JSON in column 2 .*correct or remove it.*1 of 2 records is bad"),
    ("100k deep", SFT_FILE, LINE + "[" * 100_000 + "]" * 100_000 + "\n", r"line 2: broken JSON .*nested far too deep"),
    ("100k deep array", SFT_FILE, "[" * 100_000, r"line 1: broken JSON .*nested far too deep"),
    ("duplicate keys", SFT_FILE, '{"prompt": "가", "prompt": "나", "completion": "다"}\n', r'line 1: has "prompt" twice; remove one'),
    ("NaN", SFT_FILE, '{"prompt": NaN, "completion": "다"}\n', r'line 1: "prompt" is a number, not text; correct it or remove'),
    ("huge integer", SFT_FILE, f'{{"prompt": {"9" * 5000}}}\n', r"line 1: broken JSON .*number out of range"),
    ("lone surrogate", SFT_FILE, '{"prompt": "\\ud800", "completion": "다"}\n', r"line 1: broken JSON"),
    ("null prompt", SFT_FILE, '{"prompt": null, "completion": "다"}\n', r'line 1: "prompt" is null, not text'),
    ("numeric prompt", SFT_FILE, '[{"prompt": 3, "completion": "다"}]', r'record 1: "prompt" is a number, not text'),
    ("missing key", SFT_FILE, '{"prompt": "가"}\n', r'line 1: has no "completion"; add it or remove the record'),
    ("no object", SFT_FILE, '["가", "나"]\n', r'record 1: is text, not an object; write an object with prompt, completion'),
    ("short ranking", PREFERENCE_FILE, json.dumps(RANKED | {"ranking": [0, 1]}), r'line 1: "ranking" is \[0, 1\]: must order .*1, 0, 2'),
    ("ranking with a tie", PREFERENCE_FILE, json.dumps(RANKED | {"ranking": [0, 0, 1]}), r'"ranking" is \[0, 0, 1\]: must order'),
    ("empty file", SFT_FILE, "", r"is empty; it needs at least one record"),
    ("blank file", SFT_FILE, " \n\n", r"is empty"),
    ("empty array", SFT_FILE, "[]", r"holds no record"),
    ("BOM and nothing", SFT_FILE, b"\xef\xbb\xbf", r"is empty"),
    ("everything filtered out", SFT_FILE, '{"prompt": "음", "completion": "짧은 질문"}\n', r"every one of its 1 .* by too_short"),
    ("broken test set", "test.jsonl", '{"id": "1", "prompt": "가"}\n', r'test\.jsonl: line 1: has no "completion"'),
]  # fmt: skip


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    capsys.readouterr()
    status = main(["clean", *map(str, args)])
    lines = capsys.readouterr().err.splitlines()
    assert status == 2, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("kochat: error: ")
    return lines[0].removeprefix("kochat: error: ")


@pytest.mark.parametrize(("name", "content", "message"), [case[1:] for case in FILES], ids=[case[0] for case in FILES])
def test_a_bad_file(tmp_path: Path, capsys, name: str, content: str | bytes, message: str) -> None:
    raw, out = tmp_path / "v1", tmp_path / "v2"
    write(raw / PROMPT_FILE, [{"prompt": "바다는 왜 파란색일까"}])
    write(out / "mine.txt", ["what was there before"])
    before = files(out)
    (raw / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    said = refused(capsys, raw, "--out", out)
    assert said.startswith(str(raw / name) + ": ")
    assert re.search(message, said), said
    assert files(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v1", "v2"]


def test_what_is_no_mistake(tmp_path: Path) -> None:
    """A BOM, CRLF, NUL inside a text, NaN under a key that is passed over: all read, and cleaned."""
    text = (
        LINE.replace("\n", "\r\n")
        + '{"prompt": "고양이\\u0000가 좋아", "completion": "저도\\u0000 좋아해요.", "score": NaN}\r\n'
    )
    raw = write(tmp_path / "v1" / SFT_FILE, [])
    raw.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert main(["clean", str(raw), "--out", str(tmp_path / "v2")]) == 0
    assert [row["prompt"] for row in read(tmp_path / "v2" / SFT_FILE)] == ["고양이는 왜 물을 싫어할까", "고양이가 좋아"]


def test_wrong_folders_and_places(tmp_path: Path, capsys) -> None:
    raw = write(tmp_path / "v1" / SFT_FILE, sound_rows(5)).parent
    file = write(tmp_path / "file", [])
    assert refused(capsys, tmp_path / "lost", "--out", tmp_path / "v2").startswith(f"{tmp_path / 'lost'}: no such file")
    assert "holds none of kochatgpt_1_SFT.jsonl" in refused(capsys, tmp_path, "--out", tmp_path / "v2")
    assert refused(capsys, raw, "--out", file).startswith(f"{file}: is a file; --out names the folder")
    assert "cannot be written (Not a directory)" in refused(capsys, raw, "--out", file / "v2")
    assert "raw files are never changed" in refused(capsys, raw, "--out", raw)
    assert "--workers=0 is too few" in refused(capsys, raw, "--out", tmp_path / "v2", "--workers", 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "v1"]
    assert file.read_bytes() == b""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where not even root can write")
def test_a_place_where_nobody_can_write(tmp_path: Path, capsys) -> None:
    raw = write(tmp_path / "v1" / SFT_FILE, sound_rows(5)).parent
    assert "/proc/kochat/v2: cannot be written" in refused(capsys, raw, "--out", "/proc/kochat/v2")


@pytest.mark.parametrize("call", ["write", "replace"])
def test_a_full_disk(tmp_path: Path, capsys, monkeypatch, call: str) -> None:
    """When the disk is full, in the middle of the work or at its end, what was there before stays."""
    from kochat.cleaning import workspace

    raw = write(tmp_path / "v1" / SFT_FILE, sound_rows(5)).parent
    write(tmp_path / "v2" / SFT_FILE, sound_rows(1))
    before = files(tmp_path / "v2")

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    if call == "write":
        monkeypatch.setattr(workspace, "open_for_writing", full)
    else:
        monkeypatch.setattr(os, "replace", full)
    said = refused(capsys, raw, "--out", tmp_path / "v2")
    assert said == f"{tmp_path / 'v2'}: cannot be written (No space left on device); choose another --out"
    assert files(tmp_path / "v2") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v1", "v2"]


def test_single_bad_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    raw = tmp_path / "v1" / SFT_FILE
    rows = sound_rows(200)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    write(raw, [])
    raw.write_text(
        "\n".join([*lines[:7], '{"prompt": null}', *lines[7:], "{broken" + "x" * 2000 + "}"]) + "\n", encoding="utf-8"
    )
    assert main(["clean", str(raw.parent), "--out", str(tmp_path / "v2")]) == 0
    counts = json.loads((tmp_path / "v2" / "summary.json").read_text(encoding="utf-8"))["files"][SFT_FILE]
    assert (counts["read"], counts["kept"], counts["dropped"], counts["skipped"]) == (202, 200, 0, 2)
    first, second = read(tmp_path / "v2" / "ledger.jsonl")
    assert (first["action"], first["rule"], first["index"]) == ("skipped", "bad_record", 7)
    assert (first["place"], first["before"]) == ("line 8", '{"prompt": null}')
    assert first["reason"].startswith('line 8: "prompt" is null, not text')
    assert second["place"] == "line 202"
    assert second["before"].endswith("x... (2,008 characters)")
    assert "| kochatgpt_1_SFT.jsonl | bad_record | 202 | 0 | 2 |" in (tmp_path / "v2" / "summary.md").read_text(
        encoding="utf-8"
    )


def test_v1_passed_as_v2_is_refused_by_the_data_modules(tmp_path: Path, tokenizer) -> None:
    from kochat.stages.sft.data import SFTDataModule

    write(tmp_path / "v2" / SFT_FILE, sound_rows(5))
    write(tmp_path / "v2" / "test.jsonl", [{"id": "1", "prompt": "가나", "completion": "다라", "kind": "talk"}])
    module = SFTDataModule(data_dir=str(tmp_path), version="v2")
    module.connect(tokenizer)
    with pytest.raises(UserError, match=r"manifest\.json: missing or unreadable; make it with: python -m kochat clean"):
        module.prepare_data()


def test_the_v1_arm_reads_what_clean_let_pass(tmp_path: Path, tokenizer) -> None:
    """Raw data is read alike by clean and by the DataModules: what one skips, the other skips, and warns of."""
    from kochat.stages.sft.data import SFTDataModule

    rows = sound_rows(200)
    raw = write(tmp_path / "v1" / SFT_FILE, [*rows[:9], {"prompt": None, "completion": "가나"}, *rows[9:]])
    write(
        tmp_path / "v1" / "test.jsonl",
        [{"id": "1", "prompt": "라디오는 누가 만들었나", "completion": "다라", "kind": "talk"}],
    )
    assert main(["clean", str(tmp_path / "v1"), "--out", str(tmp_path / "v2")]) == 0
    arms = {
        v: SFTDataModule(data_dir=str(tmp_path), version=v, max_length=128, max_prompt_length=96) for v in ("v1", "v2")
    }
    for arm in arms.values():
        arm.connect(tokenizer)
    with pytest.warns(UserWarning, match=r'v1/kochatgpt_1_SFT\.jsonl: skipped line 10: "prompt" is null'):
        arms["v1"].prepare_data()
    arms["v2"].prepare_data()
    for arm in arms.values():
        arm.setup("fit")
    assert len(arms["v1"]._tables["train"]) == len(arms["v2"]._tables["train"]) > 100
    with raw.open("a", encoding="utf-8") as stream:
        stream.write("{broken}\n" * 3)
    again = SFTDataModule(data_dir=str(tmp_path), version="v1", max_length=128, max_prompt_length=96)
    again.connect(tokenizer)
    with pytest.raises(UserError, match=r'line 10: "prompt" is null.* \(4 of 204 records are bad; the next: line 202'):
        again.prepare_data()

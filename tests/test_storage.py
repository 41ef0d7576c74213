"""Files appear whole or not at all, and what kochat wrote is read back, or the damaged line is named."""

from __future__ import annotations

import gzip
import json
import os
from functools import partial
from pathlib import Path

import pytest

from kochat import storage
from kochat.data.files import open_for_writing
from kochat.errors import UserError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_json_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "done.json"
    storage.write_json(path, {"말": 1})
    assert path.read_text(encoding="utf-8") == '{\n "말": 1\n}\n'
    with pytest.raises(TypeError):
        storage.write_json(path, {"bad": object()})
    assert storage.read_json(path) == {"말": 1}
    assert names(tmp_path) == ["done.json"]


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    storage.write_text(path, "old")

    def interrupted() -> None:
        with storage.replacing(path) as file:
            file.write("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_disk_that_is_full_at_the_end_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.txt"
    storage.write_text(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(OSError, match="No space left"):
                storage.write_text(path, "new")
        assert path.read_text() == "old"
        assert names(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    for word in ("one", "two"):
        with storage.replaced(folder) as temporary:
            temporary.mkdir()
            (temporary / f"{word}.txt").write_text(word)
            assert folder.exists() == (word == "two")
    assert names(folder) == ["two.txt"]
    with pytest.raises(NotADirectoryError), storage.replaced(folder) as temporary:
        (temporary / "three.txt").write_text("three") if temporary.mkdir() else os.listdir(__file__)
    assert names(folder) == ["two.txt"]
    assert names(tmp_path) == ["export"]


def test_two_processes_with_tags_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "rows.arrow"
    with storage.replaced(path, tag="1") as one, storage.replaced(path, tag="2") as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one"  # whole, whoever came last
    assert names(tmp_path) == ["rows.arrow"]


def test_compressed_files_depend_on_their_text_alone(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        with storage.replacing(tmp_path / name, opened=partial(open_for_writing, suffix=".gz")) as file:
            file.write("가나다\n")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()).decode() == "가나다\n"


def test_lines_are_read_back_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"answer": "줄\u2028바꿈\n"}, {"answer": "ㅋㅋ"}]
    storage.write_jsonl(path, rows)
    assert path.read_bytes().count(b"\n") == 2
    assert list(storage.read_jsonl(path)) == rows
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(rows[0])[:9])
    with pytest.raises(UserError, match=r"rows\.jsonl: line 4: is not what kochat wrote; do it again"):
        list(storage.read_jsonl(path, remedy="do it again"))


def test_a_number_that_json_lacks_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_jsonl(tmp_path / "rows.jsonl", [{"score": 1.0}, {"score": float("nan")}])
    assert names(tmp_path) == []

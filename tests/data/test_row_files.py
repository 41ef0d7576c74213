"""Files come apart into the same rows whatever their shape, in bounded memory, and a fault is told by its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kochat.data import row_files as rows
from kochat.data.records import PromptRecord, SFTRecord, read_records
from kochat.data.row_files import RowError, iter_rows, parse
from kochat.errors import UserError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\"\\[]{},", max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@settings(max_examples=150, deadline=None)
@given(values=st.lists(JSON, min_size=1, max_size=6), indent=st.sampled_from([None, 1]), block=st.integers(1, 50))
def test_an_array_comes_apart_as_the_parser_reads_it(tmp_path_factory, values, indent, block) -> None:
    path = write(tmp_path_factory.mktemp("a") / "a.json", json.dumps(values, ensure_ascii=False, indent=indent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_BLOCK", block)
        found = list(iter_rows(path))
    assert [json.loads(row.data) for row in found] == values
    assert [row.place for row in found] == [f"record {index + 1}" for index in range(len(values))]


@pytest.mark.slow
def test_an_array_is_streamed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", "[\n" + '{"prompt": "p"},\n' * 200_000)
    reading = read_records(path, PromptRecord)
    assert next(reading).prompt == "p"
    with pytest.raises(UserError, match=r"line 200002: .*cut off"):
        list(reading)


def test_rows_know_their_lines(tmp_path: Path) -> None:
    array = write(tmp_path / "a.json", '\n[ {"a": 1},\n\n {"b":\n 2}\n, 3]\n')
    assert [(row.at, row.line, row.place) for row in iter_rows(array)] == [
        (0, 2, "record 1"),
        (1, 4, "record 2"),
        (2, 6, "record 3"),
    ]
    lines = write(tmp_path / "a.jsonl", "\n1\n\n2\n")
    assert [(row.at, row.line, row.place) for row in iter_rows(lines)] == [(0, 2, "line 2"), (1, 4, "line 4")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("[1,]", "line 1: broken JSON .*comma"),
        ("[,1]", "line 1: broken JSON .*comma"),
        ("[1]\n[2]", "line 2: there is more text after the array's end"),
        ('[{"a": 1}', "cut off"),
        ('[{"a": "x', "cut off"),
        ('{"a": 1}\n{"a": "x', "line 2: .*cut off"),
        ("[" * 100_000, "nested far too deep"),
        ('["' + "안녕".encode("cp949").decode("latin-1") + '"]', "CP949|damaged"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole(tmp_path: Path, data: str, message: str) -> None:
    path = write(tmp_path / "a.json", data.encode("latin-1"))
    with pytest.raises(UserError, match=rf"a\.json: .*({message})"):
        [parse(path, row) for row in iter_rows(path)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken}", "line 2: broken JSON in column 2"),
        ('{"prompt": "a", "completion": "b", "prompt": "c"}', 'line 2: has "prompt" twice; remove one of the two'),
        ('{"pr\\u006fmpt": "a", "prompt": "c"}', 'line 2: has "prompt" twice'),
        ('{"prompt": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested far too deep"),
        ('{"prompt": "\\ud800"}', "line 2: broken JSON"),
        ('{"n": ' + "9" * 5000 + "}", "line 2: broken JSON in column 43.. .number out of range"),
        ('{"prompt": "a\0b"}', "line 2: broken JSON in column 14 .control character"),
    ],
)
def test_a_row_that_is_wrong_alone(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"prompt": "p"}}\n{line}\n')
    _, row = iter_rows(path)
    with pytest.raises(RowError, match=message):
        parse(path, row)


def test_a_row_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(rows, "LONGEST_ROW", 1000)
    monkeypatch.setattr(rows, "_BLOCK", 100)
    for name, data in (("a.json", '[{"a": "' + "x" * 5000), ("a.jsonl", '{"a": 1}\n{"a": "' + "x" * 5000)):
        with pytest.raises(
            UserError, match=r"(record 1|line 2): is longer than .* add the missing quote, bracket or line break"
        ):
            list(iter_rows(write(tmp_path / name, data)))


def test_a_few_bad_rows_are_skipped_and_more_than_one_in_a_hundred_is_an_error(tmp_path: Path) -> None:
    good = ['{"prompt": "p", "completion": "c"}'] * 300
    bad = [*good[:9], '{"prompt": null, "completion": "c"}', *good[9:200], '{"prompt": "p"}', *good[200:], "{broken}"]
    path = write(tmp_path / "a.jsonl", "\n".join(bad) + "\n")
    with pytest.warns(
        UserWarning, match=r'skipped line 10: "prompt" is null, not text.*3 of 303 records are bad; the next: line 202'
    ):
        assert len(list(read_records(path, SFTRecord))) == 300
    path = write(path, "\n".join([*bad, "[]"]) + "\n")
    with pytest.raises(UserError) as caught:
        list(read_records(path, SFTRecord))
    assert str(caught.value) == (
        f'{path}: line 10: "prompt" is null, not text; correct it or remove the record '
        "(4 of 304 records are bad; the next: line 202, line 303, line 304; more than 1% is an error)"
    )

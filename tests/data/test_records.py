"""Every way in which a data file can be wrong is said in one line that names the place and the remedy."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path

import pytest

from kochat.data.records import (
    AnswerRecord,
    CorpusRecord,
    PreferenceRecord,
    PromptRecord,
    Record,
    SFTRecord,
    read_records,
)
from kochat.errors import UserError

ROWS = [
    {"prompt": "안녕?", "completion": "안녕하세요."},
    {"prompt": "심심해", "completion": "산책 어때요?", "tokens": 7},
]
PREFERENCE = {"prompt": "p", "completion_0": "가", "completion_1": "나", "completion_2": "다", "ranking": [1, 2, 0]}


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def as_lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    "text", [json.dumps(ROWS, ensure_ascii=False, indent=1), as_lines(ROWS), "\n" + as_lines(ROWS)]
)
def test_array_or_lines_with_or_without_bom(tmp_path: Path, bom: bytes, text: str) -> None:
    records = list(read_records(write(tmp_path / "a.jsonl", bom + text.encode()), SFTRecord))
    assert [record.texts() for record in records] == [("안녕?", "안녕하세요."), ("심심해", "산책 어때요?")]


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_compressed_corpus(tmp_path: Path, suffix: str, compress) -> None:
    path = write(tmp_path / f"c.jsonl{suffix}", compress('{"text": "글", "source": "위키"}\n'.encode()))
    assert list(read_records(path, CorpusRecord)) == [CorpusRecord(text="글", source="위키")]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="copy or download it again"):
        list(read_records(path, CorpusRecord))


def test_ranking_lists_indices_best_to_worst(tmp_path: Path) -> None:
    path = write(tmp_path / "rm.jsonl", json.dumps([PREFERENCE]))
    assert next(read_records(path, PreferenceRecord)).ordered == ("나", "다", "가")


def test_lines_are_streamed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"prompt": "p"}\n{broken\n')
    records = read_records(path, PromptRecord)
    assert next(records).prompt == "p"
    with pytest.raises(UserError, match=r"a\.jsonl: line 2: broken JSON"):
        next(records)


def test_key_names_the_texts() -> None:
    one, two = SFTRecord(prompt="a", completion="bc"), SFTRecord(prompt="ab", completion="c")
    assert one.key != two.key
    assert len(one.key) == 16


GOOD_LINE = '{"prompt": "p", "completion": "c"}\n'
BAD_FILES = [
    ("", SFTRecord, ["is empty"]),
    ("\n \n", SFTRecord, ["is empty"]),
    ("[]", SFTRecord, ["no record"]),
    ('{"prompt": "안녕", "completion": "네"}'.encode("cp949"), SFTRecord, ["line 1", "CP949", "iconv"]),
    (GOOD_LINE.encode() + "안녕".encode("cp949"), SFTRecord, ["line 2", "CP949"]),
    ("\ufeff[]".encode("utf-16"), SFTRecord, ["UTF-16"]),
    (b'{"prompt": "\xff\xff\x00"}', SFTRecord, ["unknown encoding"]),
    ('[\n{"prompt": "p", "completion": "c"},\n{"prompt": "q"', SFTRecord, ["line 3", "cut off"]),
    (GOOD_LINE + "{broken}\n" + GOOD_LINE, SFTRecord, ["line 2", "broken JSON"]),
    ("\n" + GOOD_LINE + "{broken}\n", SFTRecord, ["line 3", "broken JSON"]),
    ("[" * 100_000, SFTRecord, ["nested far too deep"]),
    ('{"prompt": ' + "[" * 100_000, SFTRecord, ["nested far too deep"]),
    ('{"prompt": "\\ud800", "completion": "c"}', SFTRecord, ["line 1", "broken JSON"]),
    ('{"prompt": ' + "9" * 5000 + "}", SFTRecord, ["line 1"]),
    ('{"prompt": NaN, "completion": "c"}', SFTRecord, ["line 1", '"prompt" is a number, not text']),
    ('[{"prompt": null, "completion": "c"}]', SFTRecord, ["record 1", '"prompt" is null, not text', "remove"]),
    ('{"prompt": 3, "completion": "c"}', SFTRecord, ['"prompt" is a number']),
    ('{"prompt": "p"}', SFTRecord, ["line 1", 'no "completion"', "add it"]),
    (GOOD_LINE + '["p", "c"]\n', SFTRecord, ["line 2", "is a list, not an object"]),
    ('[1]', SFTRecord, ["record 1", "is a number, not an object"]),
    (json.dumps(PREFERENCE | {"ranking": [0, 0, 1]}), PreferenceRecord, ["line 1", '"ranking" is [0, 0, 1]', "[1, 0, 2]"]),
    (json.dumps(PREFERENCE | {"ranking": [0, 1]}), PreferenceRecord, ['"ranking" is [0, 1]', "best to worst"]),
    (json.dumps(PREFERENCE | {"ranking": "012"}), PreferenceRecord, ['"ranking"']),
    ('{"prompt": "p", "completion": "c", "kind": "talk"}', AnswerRecord, ['no "id"']),
]  # fmt: skip


@pytest.mark.parametrize(("data", "model", "parts"), BAD_FILES)
def test_bad_files(tmp_path: Path, data: bytes | str, model: type[Record], parts: list[str]) -> None:
    path = write(tmp_path / "bad.jsonl", data)
    with pytest.raises(UserError) as caught:
        list(read_records(path, model))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_missing_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"python -m kochat clean .*v1 --out .*v2"):
        list(read_records(tmp_path / "v2" / "kochatgpt_1_SFT.jsonl", SFTRecord))
    with pytest.raises(UserError, match=r"clean --download"):
        list(read_records(tmp_path / "v1" / "kochatgpt_2_RM.jsonl", PreferenceRecord))
    with pytest.raises(UserError, match="is a folder"):
        list(read_records(tmp_path, SFTRecord))

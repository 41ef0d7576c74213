"""Read KoChatGPT's files into validated records, and say exactly which record is wrong and why.

A file is a JSON array or one object a line, UTF-8 with or without BOM, plain or ``.gz``/``.xz``. Files of lines are
streamed; an array is read whole. Keys beyond a record's own (KoChatGPT's ``tokens`` among them) are passed over.
"""

from __future__ import annotations

import hashlib
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError, from_json

from kochat.data.files import open_bytes
from kochat.errors import UserError

_BOM = b"\xef\xbb\xbf"


class Record(BaseModel):
    """A row of a data file. Strict: text must be text, never a number or null."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    def texts(self) -> tuple[str, ...]:
        """Return the row's texts; together they identify it."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """Sixteen hex digits that name the row by its texts."""
        return hashlib.sha256("\x1f".join(self.texts()).encode()).hexdigest()[:16]


class SFTRecord(Record):
    """A prompt and the completion to learn."""

    prompt: str
    completion: str

    def texts(self) -> tuple[str, ...]:
        """Return (prompt, completion)."""
        return self.prompt, self.completion


class PreferenceRecord(Record):
    """A prompt, three completions, and `ranking`: the completions' indices from best to worst.

    The builder of KoChatGPT's files wrote indices best to worst; its notebook reads them as a rank per item and so flips
    about a fifth of the pairs. ``ranking [1, 0, 2]`` means that completion_1 is best.
    """

    prompt: str
    completion_0: str
    completion_1: str
    completion_2: str
    ranking: list[int]

    @field_validator("ranking")
    @classmethod
    def _permutation(cls, ranking: list[int]) -> list[int]:
        if sorted(ranking) != [0, 1, 2]:
            message = "must order the indices 0, 1 and 2 from best to worst, each once, like [1, 0, 2]"
            raise PydanticCustomError("ranking", "{message}", {"message": message})
        return ranking

    @property
    def ordered(self) -> tuple[str, str, str]:
        """The three completions, best first."""
        completions = (self.completion_0, self.completion_1, self.completion_2)
        best, middle, worst = self.ranking
        return completions[best], completions[middle], completions[worst]

    def texts(self) -> tuple[str, ...]:
        """Return (prompt, best, middle, worst)."""
        return self.prompt, *self.ordered


class PromptRecord(Record):
    """A prompt alone, for PPO."""

    prompt: str

    def texts(self) -> tuple[str, ...]:
        """Return (prompt,)."""
        return (self.prompt,)


class CorpusRecord(Record):
    """A document to pretrain on, and where it came from."""

    text: str
    source: str = ""

    def texts(self) -> tuple[str, ...]:
        """Return (text,)."""
        return (self.text,)


class AnswerRecord(Record):
    """A row of the frozen test set: a prompt, its reference answer and what kind of question it is."""

    id: str
    prompt: str
    completion: str
    kind: str

    def texts(self) -> tuple[str, ...]:
        """Return (prompt, completion)."""
        return self.prompt, self.completion


RecordT = TypeVar("RecordT", bound=Record)


@dataclass(frozen=True)
class Row:
    """A parsed but not yet validated row: its 0-based index in the file, where a person finds it, its JSON value."""

    index: int
    place: str
    value: Any


def read_records(path: str | Path, model: type[RecordT]) -> Iterator[RecordT]:
    """Yield the validated records of `path`, in file order.

    UserError names file, line or record, field and remedy: for a missing or empty file, another encoding than UTF-8,
    broken JSON, a missing key, a value of the wrong type, a ranking that is no permutation.
    """
    path = Path(path)
    for row in iter_rows(path):
        yield validate(path, row, model)


def validate(path: Path, row: Row, model: type[RecordT]) -> RecordT:
    """Return `row` as a `model`, or raise UserError with the first thing that is wrong in it."""
    try:
        return model.model_validate(row.value)
    except ValidationError as error:
        raise UserError(f"{path}: {row.place}: {_explain(error.errors()[0], model)}") from None


def _explain(error: ErrorDetails, model: type[Record]) -> str:
    field = ".".join(map(str, error["loc"]))
    expected = ", ".join(model.model_fields)
    if not field:
        return f"is {_kind(error['input'])}, not an object; write an object with {expected}"
    if error["type"] == "missing":
        return f'has no "{field}"; add it or remove the record (a record here has {expected})'
    if error["type"] == "string_type":
        return f'"{field}" is {_kind(error["input"])}, not text; correct it or remove the record'
    found = repr(error["input"])
    found = found if len(found) <= 40 else found[:37] + "..."
    return f'"{field}" is {found}: {error["msg"]}; correct it or remove the record'


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "text" if isinstance(value, str) else "an object")


def iter_rows(path: Path) -> Iterator[Row]:
    """Yield the JSON values of `path` with their places; UserError for anything that is not UTF-8 JSON."""
    with open_bytes(path) as stream:
        try:
            first = _first_line(stream)
            if not first.strip():
                raise UserError(f"{path}: is empty; it needs at least one record")
            rows = _array(path, first + stream.read()) if first.lstrip()[:1] == b"[" else _lines(path, first, stream)
            empty = True
            for row in rows:
                empty = False
                yield row
        except (EOFError, lzma.LZMAError, zlib.error, OSError) as error:
            raise UserError(f"{path}: cannot be read to its end ({error}); copy or download it again") from error
    if empty:
        raise UserError(f"{path}: holds no record; it needs at least one")


def _first_line(stream: IO[bytes]) -> bytes:
    """Return the first line that is not blank, with the line breaks before it so that line numbers stay right."""
    line = stream.readline().removeprefix(_BOM)
    while not line.strip():
        following = stream.readline()
        if not following:
            break
        line += following
    return line


def _array(path: Path, data: bytes) -> Iterator[Row]:
    values = _parse(path, data, 1)
    for index, value in enumerate(values):
        yield Row(index, f"record {index + 1}", value)


def _lines(path: Path, first: bytes, stream: IO[bytes]) -> Iterator[Row]:
    number = first.count(b"\n", 0, len(first.rstrip()))
    index = 0
    for line in chain([first.lstrip()], stream):
        number += 1
        if line.strip():
            yield Row(index, f"line {number}", _parse(path, line, number))
            index += 1


def _parse(path: Path, data: bytes, line: int) -> Any:
    """Parse JSON that begins on `line` of the file; nesting is bounded by the parser, so depth cannot crash it."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + data.count(b"\n", 0, error.start)
        raise UserError(f"{path}: line {at}: is not UTF-8; {_encoding_remedy(path, data)}") from None
    try:
        return from_json(text)
    except ValueError as error:
        raise UserError(f"{path}: {_json_fault(str(error), line)}") from None


def _encoding_remedy(path: Path, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "UTF-16"
    else:
        try:
            data.decode("cp949")
        except UnicodeDecodeError:
            return "it is damaged or in an unknown encoding: save it again as UTF-8"
        encoding = "CP949"
    return f"it reads as {encoding}: convert it with: iconv -f {encoding} -t UTF-8 {path.name} > {path.stem}_utf8.jsonl"


def _json_fault(message: str, line: int) -> str:
    what, _, where = message.rpartition(" at line ")
    offset, _, column = where.partition(" column ")
    at = line + int(offset) - 1
    if "EOF" in what:
        advice = "the file or the line was cut off: copy or download it again, or remove the line"
    elif "recursion" in what:
        advice = "it is nested far too deep for a record: remove it"
    else:
        advice = "correct or remove it; a file is one JSON array, or one object a line"
    return f"line {at}: broken JSON in column {column} ({what}); {advice}"

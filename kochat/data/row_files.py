"""Split data files into rows without changing their bytes, and parse the JSON of a row.

A file is a JSON array, or has one JSON object in each line. It is UTF-8 with or without BOM, plain or ``.gz``/``.xz``. Both kinds are
streamed: memory is bounded by the longest row. A fault of the whole file (another encoding, cut off) is a :class:`UserError`. A fault
of one row is a :class:`RowError`, so that a reader may skip and count the row.

Arrays are split here, not by ijson. ijson is ten times as fast (0.08 s against 0.84 s for 19 MiB) but cannot read files with errors
(measured with ijson 3.6, yajl2_c). It stops at the first broken record, so no record can be skipped. It gives no line numbers and no
bytes. Without a warning it takes the last of two equal keys and reads a lone surrogate as "?". A number of 5,000 digits crashes the
process, and 100,000 opening brackets fill the memory.
"""

from __future__ import annotations

import contextlib
import json
import lzma
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from pydantic_core import from_json

from kochat.data.files import open_bytes
from kochat.errors import UserError

LONGEST_ROW = 1 << 26  # bytes; a longer row means that a quote or a bracket is missing
_BLOCK = 1 << 20
_BOM = b"\xef\xbb\xbf"
# A whole string is one token, so brackets and commas inside it do not count. A single quote begins a string that is not complete yet.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\],]', re.DOTALL)


class RowError(Exception):
    """An error in one row; the message gives place, field and remedy, but not the file."""


class Row(NamedTuple):
    """An unparsed row of a file."""

    at: int  # number of the row, from 0
    line: int  # line where the row begins, from 1
    place: str  # the place in messages: "line 12", or in an array "record 12", from 1
    data: bytes
    unended: bool = False  # the last line has no line break: the file may be cut off here


def iter_rows(path: Path) -> Iterator[Row]:
    """Yield the unparsed rows of `path`. Raises UserError if the file as a whole cannot be read."""
    empty = True
    with open_bytes(path) as stream:
        try:
            first, line = _first_line(path, stream)
            rows = _array(path, first, line, stream) if first[:1] == b"[" else _lines(path, first, line, stream)
            for row in rows:
                empty = False
                yield row
        except (EOFError, lzma.LZMAError, zlib.error, OSError) as error:
            raise UserError(f"{path}: cannot be read to its end ({error}); copy or download it again") from error
    if empty:
        raise UserError(f"{path}: holds no record; it needs at least one")


def parse(path: Path, row: Row) -> Any:
    """Return the JSON value of a row; the parser limits the nesting depth, so deep nesting cannot crash it.

    Raises:
        UserError: if the bytes are not UTF-8, or the file ends inside the row.
        RowError: if the row is not JSON, or has a key twice.
    """
    text = _decoded(path, row.data, row.line)
    try:
        value = from_json(text)
    except ValueError as error:
        if row.unended and "EOF" in str(error):
            raise UserError(f"{path}: {_json_fault(str(error), row.line)}") from None
        raise RowError(_json_fault(str(error), row.line)) from None
    if isinstance(value, dict) and (key := _twice(text)) is not None:
        raise RowError(f'{row.place}: has "{_cut(key)}" twice; remove one of the two')
    return value


def _twice(text: str) -> str | None:
    """Return a key that an object in the valid JSON `text` has twice, or None; a parser would silently use the last one."""
    found: list[str] = []

    def check(pairs: list[tuple[str, Any]]) -> None:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            found.append(next(key for at, key in enumerate(keys) if key in keys[:at]))

    with contextlib.suppress(ValueError):  # a number that only the first parser accepts is accepted
        json.loads(text, object_pairs_hook=check, parse_int=str)
    return found[0] if found else None


def _cut(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _first_line(path: Path, stream: IO[bytes]) -> tuple[bytes, int]:
    """Return the first line that is not blank, without leading blanks, and its line number."""
    data, number = stream.readline(LONGEST_ROW).removeprefix(_BOM), 1
    while not data.strip():
        data, number = stream.readline(LONGEST_ROW), number + 1
        if not data:
            raise UserError(f"{path}: is empty; it needs at least one record")
    return data.lstrip(), number


def _lines(path: Path, first: bytes, number: int, stream: IO[bytes]) -> Iterator[Row]:
    index, line = 0, first
    while line:
        if len(line) >= LONGEST_ROW:
            raise _too_long(path, f"line {number}")
        if line.strip():
            yield Row(index, number, f"line {number}", line, not line.endswith(b"\n"))
            index += 1
        line, number = stream.readline(LONGEST_ROW), number + 1


def _array(path: Path, data: bytes, line: int, stream: IO[bytes]) -> Iterator[Row]:
    """Yield the elements of the array that begins in `data` and continues in `stream`."""
    buffer, index, scan = bytearray(data), 0, _Scan(position=1)
    while True:
        ends, scan = _element_ends(buffer, scan)
        start = 0
        for end in ends:
            # The byte before each element is a bracket or a comma.
            row = _element(index, line, bytes(buffer[start + 1 : end]))
            if row is not None:
                yield row
            elif not (index == 0 and buffer[end : end + 1] == b"]"):
                raise UserError(
                    f"{path}: line {line}: broken JSON (a comma without a record before or after it); remove it"
                )
            line += buffer.count(b"\n", start, end)
            start, index = end, index + 1
        del buffer[:start]
        scan = scan._replace(position=scan.position - start)
        if scan.depth == 0:
            return _check_end(path, bytes(buffer[1:]) + stream.read(_BLOCK), line)
        if len(buffer) > LONGEST_ROW:
            raise _too_long(path, f"record {index + 1}")
        block = stream.read(_BLOCK)
        if not block:
            raise _cut_off(path, bytes(buffer[1:]), line)
        buffer += block


class _Scan(NamedTuple):
    """The position up to which a buffer was scanned, and the bracket depth there: 1 in the array itself, 0 after its end."""

    position: int
    depth: int = 1


def _element_ends(buffer: bytearray, scan: _Scan) -> tuple[list[int], _Scan]:
    """Return the positions in `buffer` where elements of the array end, and the state from which to continue scanning."""
    depth = scan.depth
    ends: list[int] = []
    for match in _TOKEN.finditer(buffer, scan.position):
        token = match.group()
        if token == b'"':
            return ends, _Scan(match.start(), depth)
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
        if token in b",]}" and depth <= 1 and (depth == 0 or token == b","):
            ends.append(match.start())
        if depth == 0:
            return ends, _Scan(match.end(), 0)
    return ends, _Scan(len(buffer), depth)


def _element(index: int, line: int, data: bytes) -> Row | None:
    text = data.lstrip()
    if not text:
        return None
    return Row(index, line + data.count(b"\n", 0, len(data) - len(text)), f"record {index + 1}", text.rstrip())


def _check_end(path: Path, rest: bytes, line: int) -> None:
    if rest.strip():
        line += rest.count(b"\n", 0, len(rest) - len(rest.lstrip()))
        raise UserError(
            f"{path}: line {line}: there is more text after the array's end; a file is one JSON array, or has one object in each line"
        )


def _cut_off(path: Path, rest: bytes, line: int) -> UserError:
    """Return an error for an array that does not end, with the parser's message about its last element."""
    try:
        from_json(_decoded(path, b"[" + rest, line))
    except ValueError as error:
        return UserError(f"{path}: {_json_fault(str(error), line)}")
    except UserError as error:
        return error
    raise AssertionError("an array without an end was parsed")


def _too_long(path: Path, place: str) -> UserError:
    return UserError(
        f"{path}: {place}: is longer than {LONGEST_ROW >> 20} MiB; add the missing quote, bracket or line break"
    )


def _decoded(path: Path, data: bytes, line: int) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + data.count(b"\n", 0, error.start)
        raise UserError(f"{path}: line {at}: is not UTF-8; {_encoding_remedy(path, data)}") from None


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
        advice = "correct or remove it; a file is one JSON array, or has one object in each line"
    return f"line {at}: broken JSON in column {column} ({what}); {advice}"

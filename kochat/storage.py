"""Write files whole or not at all, and read and write JSON and JSON lines.

A file is written under a temporary name in its own folder, flushed to the disk, then renamed: a reader sees the old file or the new
one, never half of one, also after a kill or on a full disk.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from kochat.errors import UserError


@contextmanager
def replaced(path: Path, *, tag: str = "") -> Iterator[Path]:
    """Yield a temporary path to fill, a file or a folder; it takes the place of ``path`` when the block ends well.

    For what only a library can write (Arrow files, folders of a model); :func:`replacing` is for the rest. What was left under the
    temporary name is removed, before the block and when it fails.

    Args:
        path: the file or folder to write; its own folder must be there.
        tag: set apart processes that may write the same path at the same time, such as a process id.
    """
    temporary = path.with_name(".".join(filter(None, (path.name, tag, "tmp"))))
    _remove(temporary)
    try:
        yield temporary
        if temporary.is_dir():
            _remove(path)
        else:
            _flush_to_disk(temporary)
        os.replace(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


@contextmanager
def replacing(
    path: Path, mode: str = "w", opened: Callable[[Path], AbstractContextManager[IO[Any]]] | None = None
) -> Iterator[IO[Any]]:
    """Open a temporary file that takes the place of ``path`` when the block ends well; it is removed when the block fails.

    Args:
        path: the file to write.
        mode: ``w`` for UTF-8 text with ``\\n`` line ends, ``wb`` for bytes.
        opened: opens the temporary file for writing in another way than ``mode`` says, compressed for example.
    """
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    with (
        replaced(path) as temporary,
        opened(temporary) if opened else temporary.open(mode, **text) as file,  # type: ignore[call-overload]
    ):
        yield file


def _flush_to_disk(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    with replacing(path) as file:
        file.write(text)


def write_json(path: Path, content: Any) -> None:
    """Write a value as indented JSON, Korean as it is."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that kochat wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one JSON value a line, into a folder that is made where there is none.

    Raises:
        ValueError: when a number is NaN or infinite, which JSON has no word for; then nothing is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


def read_jsonl(path: Path, *, remedy: str = "make it again") -> Iterator[Any]:
    """Yield the value of each line of a file that kochat wrote; empty lines are skipped.

    Files of a user's are read by :mod:`kochat.data.row_files`, which passes over single bad rows.

    Args:
        path: the file. Lines end at ``\\n`` alone: an answer may hold U+2028, which Python's own line iteration of strings would
            split at.
        remedy: what to do about a damaged file, for the message.

    Raises:
        UserError: naming file and line, where a line is no JSON.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    value = json.loads(line)
                except ValueError:
                    raise UserError(f"{path}: line {number}: is not what kochat wrote; {remedy}") from None
                yield value

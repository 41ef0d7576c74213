"""Write files atomically, and read and write JSON and JSON lines.

A file is written under a temporary name in the same folder, flushed to the disk and then renamed. So a reader sees the old file or the
complete new file, even if the process was killed or the disk is full.
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
    """Yield a temporary path for a file or folder; it replaces ``path`` when the block ends without an error.

    Use it for files and folders that only a library can write (Arrow files, model folders), and :func:`replacing` for all others. Anything
    under the temporary name is removed before the block, and after the block if it fails.

    Args:
        path: the file or folder to write; its parent folder must exist.
        tag: part of the temporary name, such as a process id, if several processes may write the same path at the same time.
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
    """Open a temporary file that replaces ``path`` when the block ends without an error; it is removed if the block fails.

    Args:
        path: the file to write.
        mode: ``w`` for UTF-8 text with ``\\n`` line ends, ``wb`` for bytes.
        opened: a function that opens the temporary file in another way, for example compressed; ``mode`` is then ignored.
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
    """Write UTF-8 text atomically."""
    with replacing(path) as file:
        file.write(text)


def write_json(path: Path, content: Any) -> None:
    """Write a value as indented JSON; Korean is not escaped."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that kochat wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one JSON value in each line; the folder is created if needed.

    Raises:
        ValueError: if a number is NaN or infinite, which JSON cannot express; then nothing is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


def read_jsonl(path: Path, *, remedy: str = "make it again") -> Iterator[Any]:
    """Yield the value of each line of a file that kochat wrote; empty lines are skipped.

    For a user's files use :mod:`kochat.data.row_files`, which can skip bad rows.

    Args:
        path: the file. Lines end only at ``\\n``: an answer may contain U+2028, at which `str.splitlines` would split.
        remedy: the remedy for a damaged file, for the message.

    Raises:
        UserError: if a line is not JSON; it names file and line.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    value = json.loads(line)
                except ValueError:
                    raise UserError(f"{path}: line {number}: is not what kochat wrote; {remedy}") from None
                yield value

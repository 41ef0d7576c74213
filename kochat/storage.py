"""Write files whole or not at all, and read and write JSON lines.

A file is written under a temporary name in its own folder, flushed to the disk, then renamed: a reader sees the old file or the new
one, never half of one, also after a kill or on a full disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def replacing(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file that takes the place of ``path`` when the block ends well; it is removed when the block fails.

    Args:
        path: the file to write.
        mode: ``w`` for UTF-8 text with ``\\n`` line ends, ``wb`` for bytes.
    """
    temporary = path.with_name(path.name + ".tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with temporary.open(mode, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
        ValueError: when a number is NaN or infinite, which JSON has no word for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


def read_jsonl(path: Path) -> Iterator[Any]:
    """Yield the value of each line of a file that kochat wrote; empty lines are skipped.

    Lines end at ``\\n`` alone: an answer may hold U+2028, which Python's own line iteration of strings would split at.
    """
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)

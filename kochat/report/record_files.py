"""Read a study's files as pydantic records; errors name file, line and field."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from kochat.errors import UserError

Record = TypeVar("Record", bound=BaseModel)


def read_record(model: type[Record], path: Path) -> Record:
    """Read a JSON file.

    Raises:
        UserError: it is not JSON, or a field is missing or wrong.
    """
    return parse_record(model, path, path.read_text(encoding="utf-8"))


def read_records(model: type[Record], path: Path) -> list[Record]:
    """Read one record per line; a missing file gives no records.

    Only a line feed ends a line: an answer may contain U+2028, at which Python's `splitlines` would split.

    Raises:
        UserError: a line is broken; the message names the first one.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [parse_record(model, path, line, number) for number, line in enumerate(lines, 1) if line.strip()]


def parse_record(model: type[Record], path: Path, text: str, line: int | None = None) -> Record:
    """Parse and check the JSON text of a record; ``path`` and ``line`` are for the error message."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{path}:{line}" if line else str(path)
        what = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise UserError(f"{where}: {what}: {first['msg']}; run `kochat study` again to rewrite it") from None

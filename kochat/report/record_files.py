"""Read a study's files as pydantic records; what is broken in them is named by file, line and field."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from kochat.errors import UserError

Record = TypeVar("Record", bound=BaseModel)


def read_record(model: type[Record], path: Path) -> Record:
    """Read a JSON file.

    Raises:
        UserError: when it is no JSON, or a field is missing or wrong.
    """
    return parse_record(model, path, path.read_text(encoding="utf-8"))


def read_records(model: type[Record], path: Path) -> list[Record]:
    """Read one record a line; an absent file gives no records.

    Lines end at a line feed alone: an answer may hold U+2028, which Python's `splitlines` would split at.

    Raises:
        UserError: naming the first broken line.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [parse_record(model, path, line, number) for number, line in enumerate(lines, 1) if line.strip()]


def parse_record(model: type[Record], path: Path, text: str, line: int | None = None) -> Record:
    """Check a record's JSON text, which stands in ``path`` (and there in ``line``)."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{path}:{line}" if line else str(path)
        what = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise UserError(f"{where}: {what}: {first['msg']}; run `kochat study` again to rewrite it") from None

"""Corrections by hand: a file that names single rows by their hash and says how to correct them, or that they are dropped.

No rule can know that an answer is wrong. If you find a wrong answer, copy the row's hash from the ledger (`row`) and write a line

    {"row": "0123456789abcdef", "action": "replace", "set": {"completion": "팻 닉슨입니다."}, "reason": "wrong fact"}
    {"row": "fedcba9876543210", "action": "drop", "reason": "an advertisement", "file": "kochatgpt_1_SFT.jsonl"}

The hash is computed from the row before any edit (:attr:`kochat.data.records.Record.key`), or from the bytes of a row that could not
be read. Corrections are applied before all rules. A line that matches no row is an error: the file was written for other data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from kochat.data.files import sha256_of
from kochat.data.records import CorpusRecord, PreferenceRecord, PromptRecord, SFTRecord, validate
from kochat.data.row_files import Row, RowError, iter_rows, parse
from kochat.errors import UserError

_FIELDS = {name for model in (SFTRecord, PreferenceRecord, PromptRecord, CorpusRecord) for name in model.model_fields}


class Correction(BaseModel):
    """Drop the row with the hash `row`, or set some of its fields; `file` limits this to one file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    row: str = Field(pattern=r"^[0-9a-f]{16}$")
    action: Literal["replace", "drop"]
    set: dict[str, Any] = {}
    reason: str
    file: str | None = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Correction:
        unknown = sorted(self.set.keys() - _FIELDS)
        if unknown:
            raise PydanticCustomError("set", '"set" names {name}, which no record has', {"name": repr(unknown[0])})
        if (self.action == "replace") != bool(self.set):
            raise PydanticCustomError("set", 'a "replace" needs "set" with at least one field, and a "drop" has none')
        return self


@dataclass(frozen=True)
class Corrections:
    """The corrections of a file by row hash, each with its line number, and the SHA-256 of the file."""

    path: Path | None = None
    digest: str | None = None
    by_row: Mapping[str, tuple[Correction, str]] = field(default_factory=dict)

    def find(self, row: str, file: str) -> Correction | None:
        """Return the correction of the row with this hash in this file, or None."""
        correction, _ = self.by_row.get(row, (None, ""))
        return correction if correction is not None and correction.file in (None, file) else None

    def error(self, row: str, message: str) -> UserError:
        """Return a UserError about the correction of a row."""
        return UserError(f"{self.path}: {self.by_row[row][1]}: {message}")

    def check_all_used(self, used: Collection[str]) -> None:
        """Raise UserError if a correction matched no row of the data."""
        unused = [f"{place} ({row})" for row, (_, place) in self.by_row.items() if row not in used]
        if unused:
            more = f" and {len(unused) - 5:,} more" if len(unused) > 5 else ""
            raise UserError(
                f"{self.path}: {len(unused):,} of {len(self.by_row):,} corrections match no row: {', '.join(unused[:5])}{more}; "
                "correct or remove them (the ledger gives the hash of each row in its field row)"
            )


def load_corrections(path: Path | None) -> Corrections:
    """Read a file of corrections; there are none if `path` is None. Raises UserError for the first error in the file."""
    if path is None:
        return Corrections()
    by_row: dict[str, tuple[Correction, str]] = {}
    for row in iter_rows(path):
        try:
            correction = validate(row, parse(path, row), Correction)
        except RowError as error:
            raise UserError(f"{path}: {error}") from None
        if correction.row in by_row:
            raise UserError(
                f"{path}: {row.place}: row {correction.row} was corrected before, on {by_row[correction.row][1]}"
            )
        by_row[correction.row] = (correction, row.place)
    return Corrections(path, sha256_of(path), by_row)


def bad_row_key(row: Row) -> str:
    """Return the hash (16 hex digits) of the bytes of a row that could not be read."""
    return hashlib.sha256(row.data.strip()).hexdigest()[:16]

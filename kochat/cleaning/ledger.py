"""Record what cleaning did: a line for every edit, dropped row and unreadable row, and counts by file and rule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from kochat.cleaning.examination import Change, Examined, Found
from kochat.cleaning.rules import ALL
from kochat.cleaning.rules.bad_record import BAD_RECORD
from kochat.errors import UserError
from kochat.storage import read_jsonl

LEDGER_FILE = "ledger.jsonl"
SUMMARY_FILE = "summary.json"
TABLE_FILE = "summary.md"
PAGE_FILE = "ledger.html"


@dataclass
class FileCounts:
    """Numbers of rows of one file: read, kept, dropped, skipped (unreadable) and edited; edits and drops also by rule."""

    read: int = 0
    kept: int = 0
    dropped: int = 0
    skipped: int = 0
    changed: int = 0
    changed_by: dict[str, int] = field(default_factory=dict)
    dropped_by: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Assert that kept + dropped + skipped = read, and that one rule is counted for each dropped row."""
        assert self.kept + self.dropped + self.skipped == self.read, self
        assert sum(self.dropped_by.values()) == self.dropped, self


@dataclass
class Report:
    """The counts of each file and the sizes of the frozen test set; each file has kept + dropped + skipped = read."""

    files: dict[str, FileCounts] = field(default_factory=dict)
    test_rows: int = 0
    test_preferences: int = 0
    test_pairs: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as plain values, as `summary.json` holds them."""
        return asdict(self)

    def table(self) -> str:
        """Return the counts as two Markdown tables: by file, and by file and rule."""
        lines = ["| file | read | changed | skipped | dropped | kept |", "|---|--:|--:|--:|--:|--:|"]
        for name, counts in self.files.items():
            numbers = (counts.read, counts.changed, counts.skipped, counts.dropped, counts.kept)
            lines.append(f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |")
        lines += ["", "| file | rule | seen | changed | dropped |", "|---|---|--:|--:|--:|"]
        for name, counts in self.files.items():
            for rule, changed, dropped in rule_counts(counts):
                lines.append(f"| {name} | {rule} | {counts.read:,} | {changed:,} | {dropped:,} |")
        held = f"Frozen test set: {self.test_rows:,} prompts, {self.test_preferences:,} preference records."
        if self.test_pairs:
            held = held.removesuffix(".") + f", {self.test_pairs:,} labelled pairs."
        return "\n".join([*lines, "", held])


def rule_counts(counts: FileCounts) -> Iterator[tuple[str, int, int]]:
    """Yield (rule, rows changed, rows dropped or skipped) for each rule that changed or dropped a row, in rule order."""
    gone = counts.dropped_by | ({BAD_RECORD: counts.skipped} if counts.skipped else {})
    for rule in ALL:
        if rule in counts.changed_by or rule in gone:
            yield rule, counts.changed_by.get(rule, 0), gone.get(rule, 0)


class FileLedger:
    """Write one file's lines of the ledger and keep its counts.

    A line is ``{"file", "index" (0-based row in the file), "place" (line or record number, from 1), "row" (its hash, for a file of
    corrections), "action" ("changed", "dropped" or "skipped"), "rule", "reason", "field", "before", "after"}``. An edit is written
    even if a later rule drops the row. The line of a dropped row has the row as it was read in "before"; "after" and "field" are
    null. The line of a skipped row has the beginning of its text in "before".
    """

    def __init__(self, file: str, stream: IO[str]) -> None:
        self.counts = FileCounts()
        self._file, self._stream = file, stream

    def record(self, row: Examined, found: Found | None) -> None:
        """Write and count what was done to a row; `found` is (rule, reason) if a rule drops it, else None."""
        self.counts.read += 1
        for change in row.changes:
            self._write(row, "changed", change)
        if row.changes:
            self.counts.changed += 1
            for rule in dict.fromkeys(change.rule for change in row.changes):
                self.counts.changed_by[rule] = self.counts.changed_by.get(rule, 0) + 1
        if found is None:
            self.counts.kept += 1
            return
        rule, reason = found
        if rule == BAD_RECORD:
            self.counts.skipped += 1
        else:
            self.counts.dropped += 1
            self.counts.dropped_by[rule] = self.counts.dropped_by.get(rule, 0) + 1
        action = "skipped" if rule == BAD_RECORD else "dropped"
        self._write(row, action, Change(None, rule, reason, row.before, None))

    def _write(self, row: Examined, action: str, change: Change) -> None:
        line = {
            "file": self._file,
            "index": row.at,
            "place": row.place,
            "row": row.key,
            "action": action,
            "rule": change.rule,
            "reason": change.reason,
            "field": change.field,
            "before": change.before,
            "after": change.after,
        }
        self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_ledger(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of the ledger in a cleaned folder. Raises UserError if the ledger is missing or damaged."""
    path = folder / LEDGER_FILE
    if not path.is_file():
        raise UserError(f"{path}: no such file; make it with: python -m kochat clean RAW --out {folder}")
    yield from read_jsonl(path, remedy="clean again")

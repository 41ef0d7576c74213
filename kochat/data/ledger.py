"""Write down what cleaning did: a line for every edit and every drop, and counts by file and rule."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import IO, Any

LEDGER_FILE = "ledger.jsonl"
SUMMARY_FILE = "summary.json"


@dataclass
class FileCounts:
    """Counts of one file: rows read, kept, dropped and edited, and by rule (edits and drops apart)."""

    read: int = 0
    kept: int = 0
    dropped: int = 0
    changed: int = 0
    changed_by: dict[str, int] = field(default_factory=dict)
    dropped_by: dict[str, int] = field(default_factory=dict)


@dataclass
class Report:
    """What cleaning did, by file; `kept + dropped = read` holds in each."""

    files: dict[str, FileCounts] = field(default_factory=dict)
    test_rows: int = 0
    test_preferences: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as plain values, as `summary.json` holds them."""
        files = {name: vars(counts) for name, counts in self.files.items()}
        return {"files": files, "test_rows": self.test_rows, "test_preferences": self.test_preferences}

    def table(self) -> str:
        """Return the counts as Markdown: a table of files, and a table of files by rules."""
        lines = ["| file | read | changed | dropped | kept |", "|---|--:|--:|--:|--:|"]
        for name, counts in self.files.items():
            lines.append(f"| {name} | {counts.read:,} | {counts.changed:,} | {counts.dropped:,} | {counts.kept:,} |")
        lines += ["", "| file | rule | read | changed | dropped |", "|---|---|--:|--:|--:|"]
        for name, counts in self.files.items():
            for rule in [*counts.changed_by, *counts.dropped_by]:
                edits, drops = counts.changed_by.get(rule, 0), counts.dropped_by.get(rule, 0)
                lines.append(f"| {name} | {rule} | {counts.read:,} | {edits:,} | {drops:,} |")
        held = f"Frozen test set: {self.test_rows:,} prompts, {self.test_preferences:,} preference records."
        return "\n".join([*lines, "", held])


class Ledger:
    """Write the ledger's lines and keep its counts; one object serves all files of a cleaning.

    A line is ``{"file", "index" (0-based row in the file), "action" ("changed" or "dropped"), "rule", "reason", "field",
    "before", "after"}``. An edit is written also where a later rule drops the row. A drop has the row as it was read under
    "before" and null under "after" and "field".
    """

    def __init__(self, stream: IO[str]) -> None:
        self.report = Report()
        self._stream = stream

    def open_file(self, name: str) -> FileCounts:
        """Begin the counts of a file and return them."""
        return self.report.files.setdefault(name, FileCounts())

    def changed(self, file: str, index: int, rule: str, field: str, before: str, after: str) -> None:
        """Record one edit of one field."""
        self._write(file, index, "changed", rule, f"{rule} of {field} mended", field, before, after)

    def count_changed(self, file: str, rules: set[str]) -> None:
        """Count a row that was edited, once under each of the rules that edited it."""
        counts = self.report.files[file]
        counts.changed += 1
        for rule in sorted(rules):
            counts.changed_by[rule] = counts.changed_by.get(rule, 0) + 1

    def dropped(self, file: str, index: int, rule: str, reason: str, before: dict[str, Any]) -> None:
        """Record and count one drop."""
        counts = self.report.files[file]
        counts.dropped += 1
        counts.dropped_by[rule] = counts.dropped_by.get(rule, 0) + 1
        self._write(file, index, "dropped", rule, reason, None, before, None)

    def _write(
        self, file: str, index: int, action: str, rule: str, reason: str, field: str | None, before: Any, after: Any
    ) -> None:
        line = {"file": file, "index": index, "action": action, "rule": rule, "reason": reason, "field": field}
        self._stream.write(json.dumps({**line, "before": before, "after": after}, ensure_ascii=False) + "\n")

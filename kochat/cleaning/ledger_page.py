"""Write the ledger as one self-contained HTML page with filters, which needs no notebook and no server.

The page holds the entries as JSON and shows them as text, never as HTML, so no code in a record can run.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kochat.cleaning.explanation import draw
from kochat.cleaning.ledger import PAGE_FILE, SUMMARY_FILE, read_ledger
from kochat.cleaning.rules import ALL
from kochat.errors import UserError
from kochat.storage import read_json, write_text

MOST_ENTRIES = 10_000  # a page of this size opens at once and can be searched while typing
LONGEST_TEXT = 1_500  # characters of a text
_TEMPLATE = Path(__file__).with_name("ledger_page.html")
_MARKER = "/*DATA*/"


def write_page(folder: Path) -> Path:
    """Write ``ledger.html`` into the `folder` of the ledger and return its path.

    A page has at most 10,000 entries. From a longer ledger, entries are drawn by hash for each rule and file; small groups are shown
    whole. The page says so. Raises UserError if `folder` holds no ledger or cannot be written.
    """
    counts = Counter(map(_group, read_ledger(folder)))
    entries = [_shown(line) for line in _drawn(folder, _shares(counts, MOST_ENTRIES))]
    content = {
        "folder": str(folder),
        "summary": _summary(folder),
        "rules": {name: rule.does for name, rule in ALL.items()},
        "total": sum(counts.values()),
        "entries": entries,
    }
    # The data then contains no "<", so no text can close the script element around it.
    data = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
    path = folder / PAGE_FILE
    try:
        write_text(path, _TEMPLATE.read_text(encoding="utf-8").replace(_MARKER, data))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error}); make the folder writable") from error
    return path


def _group(line: dict[str, Any]) -> tuple[str, ...]:
    return line["file"], line["rule"], line["action"]


def _shares(counts: Mapping[tuple[str, ...], int], most: int) -> dict[tuple[str, ...], int]:
    """Divide `most` entries among groups: each gets the same number; what a small group does not use is divided among the others."""
    shares: dict[tuple[str, ...], int] = {}
    for place, (group, count) in enumerate(sorted(counts.items(), key=lambda item: (item[1], item[0]))):
        shares[group] = min(count, (most - sum(shares.values())) // (len(counts) - place))
    return shares


def _drawn(folder: Path, shares: Mapping[tuple[str, ...], int]) -> list[dict[str, Any]]:
    """Draw each group's share of the ledger by hash, in ledger order; the shares bound the memory."""
    taken: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for number, line in enumerate(read_ledger(folder)):
        group = _group(line)
        taken[group].append({**line, "number": number})
        if len(taken[group]) > 2 * shares[group] + 100:
            taken[group] = draw(taken[group], shares[group])
    chosen = (line for group, lines in taken.items() for line in draw(lines, shares[group]))
    return sorted(chosen, key=lambda line: line["number"])


def _shown(line: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an entry that the page shows, with long texts cut."""
    return {
        "file": line["file"],
        "place": line["place"],
        "row": line["row"],
        "action": line["action"],
        "rule": line["rule"],
        "reason": _cut(line["reason"]),
        "field": line["field"],
        "before": _texts(line["before"], line["field"]),
        "after": None if line["action"] != "changed" else _texts(line["after"], line["field"]),
    }


def _texts(value: Any, field: str | None) -> list[tuple[str, str]]:
    """Return (field, text) pairs: one pair for an edit, one for each field of a whole record."""
    values = value if isinstance(value, dict) else {field or "text": value}
    return [
        (name, _cut(its if isinstance(its, str) else json.dumps(its, ensure_ascii=False)))
        for name, its in values.items()
    ]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}... ({len(text):,} characters)"


def _summary(folder: Path) -> Any:
    try:
        return read_json(folder / SUMMARY_FILE)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / SUMMARY_FILE}: missing or damaged ({error}); clean again") from error

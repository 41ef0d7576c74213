"""Show ten examples of what a rule did, before and after in two columns, as text for a terminal."""

from __future__ import annotations

import hashlib
import heapq
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from kochat.cleaning.ledger import read_ledger
from kochat.cleaning.rules import ALL
from kochat.errors import UserError

EXAMPLES = 10
_LINES_SHOWN = 12
_BLANKS = re.compile("^ +| +$| {2,}", re.MULTILINE)
_VISIBLE = {"\n": "↵\n", "\t": "→"}


def explain(folder: Path, rule: str, width: int = 120) -> str:
    """Return ten examples of what `rule` did, from the ledger in `folder`, before and after in two columns.

    `width` is in terminal columns. The examples are drawn by hash: they come from all files and are the same each time.

    Raises:
        UserError: if there is no such rule or no readable ledger.
    """
    check_rule(rule)
    counts: Counter[str] = Counter()

    def found() -> Iterator[dict[str, Any]]:
        for line in read_ledger(folder):
            if line["rule"] == rule:
                counts[line["action"]] += 1
                yield line

    chosen = draw(found(), EXAMPLES)
    told = ", ".join(f"{number:,} {action}" for action, number in sorted(counts.items())) or "did nothing here"
    shown = f"; {len(chosen)} shown, drawn by hash" if len(chosen) < sum(counts.values()) else ""
    blocks = [f"{rule}: {ALL[rule].does}", f"{told}{shown}", *("\n".join(_example(line, width)) for line in chosen)]
    return "\n\n".join(blocks)


def check_rule(rule: str) -> None:
    """Raise UserError, which lists all rules, if no rule is named `rule`."""
    if rule not in ALL:
        raise UserError(f"--explain={rule}: there is no such rule; the rules are {', '.join(ALL)}")


def draw(lines: Iterable[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Return up to `number` of the ledger's lines, drawn by hash, in their original order."""
    numbered = enumerate(lines)
    return [line for _, line in sorted(heapq.nsmallest(number, numbered, key=lambda each: (_lot(each[1]), each[0])))]


def _lot(line: dict[str, Any]) -> bytes:
    return hashlib.sha256(f"{line['file']}/{line['index']}/{line['rule']}/{line['field']}".encode()).digest()


def _example(line: dict[str, Any], width: int) -> Iterator[str]:
    field = f", {line['field']}" if line["field"] else ""
    yield f"{line['file']}, {line['place']}{field} (row {line['row']})".ljust(width, " ")[:width].rstrip()
    column = max(20, (width - 3) // 2)
    before = _columns(_text(line["before"]), column)
    after = _columns(
        _text(line["after"]) if line["action"] == "changed" else f"[{line['action']}] {line['reason']}", column
    )
    yield f"{'─' * column}─┬─{'─' * column}"
    for left, right in list(zip_longest(before, after, fillvalue=""))[:_LINES_SHOWN]:
        yield f"{left}{' ' * (column - _width(left))} │ {right}".rstrip()
    hidden = max(len(before), len(after)) - _LINES_SHOWN
    if hidden > 0:
        yield f"... {hidden} lines more"


def _text(value: Any) -> str:
    """Format a value of the ledger: one line for each field of a record, invisible characters as code points."""
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_text(its)}" for name, its in value.items())
    return visible(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def visible(text: str) -> str:
    """Return `text` with invisible characters shown: several or outer blanks as ·, line breaks as ↵, controls as <U+200B>."""
    text = _BLANKS.sub(lambda match: "·" * len(match.group()), text)
    return "".join(
        _VISIBLE.get(char)
        or (f"<U+{ord(char):04X}>" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co") else char)
        for char in text
    )


def _columns(text: str, width: int) -> list[str]:
    """Break `text` into lines of at most `width` columns; a Korean letter takes two columns."""
    lines = []
    for whole in text.split("\n"):
        line, used = "", 0
        for char in whole:
            wide = _width(char)
            if used + wide > width:
                lines.append(line)
                line, used = "", 0
            line, used = line + char, used + wide
        lines.append(line)
    return lines


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )

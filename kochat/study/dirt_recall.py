"""Score the cleaning on the embedded world's planted dirt: recall and precision by kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kochat.cleaning.ledger import LEDGER_FILE
from kochat.cleaning.rules import rule_of_dirt
from kochat.storage import read_jsonl
from kochat.world.generator import DIRT_FILE

Row = tuple[str, int]
Score = dict[str, int | float]
# Rules that remove rows for the test set, not because they are dirty.
SPLIT_RULES = frozenset({"held_out", "near_test", "fixed_prompt"})


def dirt_scores(v1: Path, v2: Path) -> dict[str, Score]:
    """Return by kind of dirt ``planted``, ``found``, ``recall``, and for its rule ``touched`` and ``precision``.

    Found means: a row to drop was dropped, by any rule; a row to repair has its clean text again. Of duplicates any
    copy may be dropped. `touched` is the number of rows that the rule of this kind changed or dropped; `precision` is
    the share of these with planted dirt of any kind. Rows that were moved to the test set are not counted, unless a
    rule handled their dirt before. A rule without planted dirt has its own row with `touched`. The row ``all`` is the
    sum over kinds and rules. Shares are from 0 to 1.
    """
    ledger = list(read_jsonl(v2 / LEDGER_FILE))
    gone = {_row(line) for line in ledger if line["rule"] in SPLIT_RULES}
    ledger = [line for line in ledger if line["rule"] not in SPLIT_RULES]
    labels = list(read_jsonl(v1 / DIRT_FILE))
    planted = {row for label in labels for row in _copies(label)}
    found: dict[str, list[bool]] = defaultdict(list)
    dealt_with = _Dealt(ledger)
    for label in labels:
        if (hit := dealt_with.found(label)) or gone.isdisjoint(_copies(label)):
            found[label["kind"]].append(hit)
    touched: dict[str, set[Row]] = defaultdict(set)
    for line in ledger:
        touched[line["rule"]].add(_row(line))
    rules = rule_of_dirt()
    scores = {
        kind: _recall(hits) | _precision(touched.pop(rules.get(kind, kind), set()), planted)
        for kind, hits in sorted(found.items())
    }
    scores |= {rule: _precision(rows, planted) for rule, rows in sorted(touched.items())}
    everything = {_row(line) for line in ledger}
    scores["all"] = _recall([hit for hits in found.values() for hit in hits]) | _precision(everything, planted)
    return scores


class _Dealt:
    """The actions of a ledger, by row."""

    def __init__(self, ledger: Iterable[dict[str, Any]]) -> None:
        self._dropped: set[Row] = set()
        self._mended: dict[tuple[Row, str], str] = {}
        for line in ledger:
            if line["action"] == "dropped":
                self._dropped.add(_row(line))
            elif line["action"] == "changed":
                self._mended[_row(line), line["field"]] = line["after"]

    def found(self, label: dict[str, Any]) -> bool:
        """Tell whether the dirt of `label` was dropped or repaired as planned."""
        if label["action"] == "repair":
            return self._mended.get((_row(label), label["field"])) == label["clean"]
        return not self._dropped.isdisjoint(_copies(label))


def _row(line: dict[str, Any]) -> Row:
    return line["file"], line["index"]


def _copies(label: dict[str, Any]) -> set[Row]:
    """Return the rows of a label: a duplicate is found if any row with its text was dropped."""
    return {_row(label)} | ({(label["file"], label["of"])} if label.get("of") is not None else set())


def _recall(hits: list[bool]) -> Score:
    return {"planted": len(hits), "found": sum(hits), "recall": sum(hits) / len(hits) if hits else 1.0}


def _precision(touched: set[Row], planted: set[Row]) -> Score:
    return {"touched": len(touched), "precision": len(touched & planted) / len(touched) if touched else 1.0}

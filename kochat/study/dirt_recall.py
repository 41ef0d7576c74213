"""Score the cleaning against the embedded world's planted dirt: by rule, how much was found and how much touched without need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kochat.cleaning.ledger import LEDGER_FILE
from kochat.cleaning.rules import rule_of_dirt
from kochat.storage import read_jsonl

DIRT_FILE = "dirt.jsonl"
Row = tuple[str, int]
Score = dict[str, int | float]
# Rows that went for the sake of the test set, not because they were dirty.
SPLIT_RULES = frozenset({"held_out", "near_test", "fixed_prompt"})


def dirt_scores(v1: Path, v2: Path) -> dict[str, Score]:
    """Return by kind of dirt ``planted``, ``found``, ``recall``, and for its rule ``touched`` and ``precision``.

    Found means: what should go was dropped, by whichever rule; what should be repaired has its clean text again. Of
    duplicates either copy may have gone. `touched` counts the rows that the kind's own rule changed or dropped,
    `precision` is the share of these that were planted dirt of any kind. Rows that left for the test set are counted
    nowhere, unless their dirt was dealt with before. A rule whose kind was never planted has a row of its own with what it
    touched. The row ``all`` sums over kinds and rules.
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
    """What a ledger says was done about each row."""

    def __init__(self, ledger: Iterable[dict[str, Any]]) -> None:
        self._dropped: set[Row] = set()
        self._mended: dict[tuple[Row, str], str] = {}
        for line in ledger:
            if line["action"] == "dropped":
                self._dropped.add(_row(line))
            elif line["action"] == "changed":
                self._mended[_row(line), line["field"]] = line["after"]

    def found(self, label: dict[str, Any]) -> bool:
        """Say whether the dirt that `label` tells of was dealt with as it should be."""
        if label["action"] == "repair":
            return self._mended.get((_row(label), label["field"])) == label["clean"]
        return not self._dropped.isdisjoint(_copies(label))


def _row(line: dict[str, Any]) -> Row:
    return line["file"], line["index"]


def _copies(label: dict[str, Any]) -> set[Row]:
    """Return the rows a label speaks of: a duplicate is found when any row of its text went."""
    return {_row(label)} | ({(label["file"], label["of"])} if label.get("of") is not None else set())


def _recall(hits: list[bool]) -> Score:
    return {"planted": len(hits), "found": sum(hits), "recall": sum(hits) / len(hits) if hits else 1.0}


def _precision(touched: set[Row], planted: set[Row]) -> Score:
    return {"touched": len(touched), "precision": len(touched & planted) / len(touched) if touched else 1.0}

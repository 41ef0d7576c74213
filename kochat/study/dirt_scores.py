"""Score the cleaning against the embedded world's planted dirt: how much was found, and how much was touched without need."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kochat.data.ledger import LEDGER_FILE

DIRT_FILE = "dirt.jsonl"
Row = tuple[str, int]
# Rows that went for the sake of the test set, not because they were dirty.
SPLIT_RULES = frozenset({"held_out", "near_test", "fixed_prompt"})


def dirt_scores(v1: Path, v2: Path) -> dict[str, dict[str, int | float]]:
    """Return by kind of dirt how many rows were planted and found (changed or dropped), and their share, the recall.

    The row ``all`` also has ``touched``, every row that cleaning changed or dropped (what left for the test set not counted),
    and ``precision``, the share of these that were planted. A duplicate counts as found when any row of its text went,
    whichever of the two copies that was.
    """
    labels = list(_lines(v1 / DIRT_FILE))
    ledger = [line for line in _lines(v2 / LEDGER_FILE) if line["rule"] not in SPLIT_RULES]
    touched = {(line["file"], line["index"]) for line in ledger}
    found: dict[str, list[bool]] = defaultdict(list)
    planted: set[Row] = set()
    for label in labels:
        rows = {(label["file"], label["index"])}
        if label.get("of") is not None:
            rows.add((label["file"], label["of"]))
        planted |= rows
        found[label["kind"]].append(bool(rows & touched))
    scores: dict[str, dict[str, int | float]] = {kind: _recall(hits) for kind, hits in sorted(found.items())}
    total = _recall([hit for hits in found.values() for hit in hits])
    precision = len(touched & planted) / len(touched) if touched else 1.0
    scores["all"] = total | {"touched": len(touched), "precision": precision}
    return scores


def _recall(hits: list[bool]) -> dict[str, int | float]:
    return {"planted": len(hits), "found": sum(hits), "recall": sum(hits) / len(hits) if hits else 1.0}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)

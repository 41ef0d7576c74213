"""Cleaning's second pass compares rows: would a row leak the test set, or does it repeat an earlier row?

Worker processes find leaks and compute the hashes by which rows are compared (:func:`compare`). The parent process then decides in
file order which row came first (:class:`EarlierRows`), so the result does not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kochat.cleaning.examination import Examined, Found
from kochat.cleaning.leaks import Guards
from kochat.cleaning.rule_kinds import LeakRule, Place, RepeatRule
from kochat.cleaning.rules import of_kind
from kochat.cleaning.settings import CleanSettings
from kochat.data.records import CorpusRecord, Record


@dataclass(frozen=True)
class Comparison:
    """The context of the second pass; it can be pickled, for the workers."""

    settings: CleanSettings
    guards: Guards


class Lines(NamedTuple):
    """A batch of examined rows, as the lines that the first pass wrote."""

    model: type[Record]
    lines: list[bytes]


class Compared(NamedTuple):
    """A batch of rows in file order. `signs` maps each rule to the signs of the rows that no rule has dropped yet, in row order."""

    rows: list[Examined]
    signs: dict[str, Sequence[Any]]


def compare(known: Comparison, batch: Lines) -> Compared:
    """Find leaks in a batch, and compute the signs of the other rows, by which duplicates are found."""
    rows: list[Examined] = []
    sound: list[Record] = []
    for line in batch.lines:
        row = Examined.load(line)
        if row.found is None and row.after is not None:
            record = batch.model.model_construct(**row.after)
            row = row._replace(found=_leak(known, record))
            if row.found is None:
                sound.append(record)
        rows.append(row)
    rules = _repeat_rules(batch.model, known.settings) if sound else ()
    return Compared(rows, {rule.name: rule.sign(sound, known.settings.thresholds) for rule in rules})


def _repeat_rules(model: type[Record], settings: CleanSettings) -> tuple[RepeatRule, ...]:
    return tuple(rule for rule in of_kind(RepeatRule) if settings.on(rule.name) and model in rule.records)


def _leak(known: Comparison, record: Record) -> Found | None:
    """Return (rule, reason) if training on `record` would show the model the test set or a fixed prompt, else None."""
    if isinstance(record, CorpusRecord):
        return None
    for rule in of_kind(LeakRule):
        if known.settings.on(rule.name) and (reason := rule.reason(record, known.guards)):
            return rule.name, reason
    return None


class EarlierRows:
    """Decide for each row of one file whether it repeats an earlier row; the first of several copies is kept.

    A row that one rule drops is not given to the later rules. Memory: about 300 bytes for each row.
    """

    def __init__(self, model: type[Record], settings: CleanSettings) -> None:
        rules = _repeat_rules(model, settings)
        self._memories = {rule.name: rule.memory(settings.thresholds) for rule in rules}

    def judge(self, batch: Compared) -> list[Found | None]:
        """Return for each row of the batch (rule, reason) if a rule drops it, or None if the row is kept."""
        found = [row.found for row in batch.rows]
        sound = [at for at, row in enumerate(batch.rows) if row.found is None]
        for rule, memory in self._memories.items():
            left = [(at, sign) for at, sign in zip(sound, batch.signs.get(rule, ()), strict=True) if found[at] is None]
            if not left:
                continue
            places = [_place(batch.rows[at]) for at, _ in left]
            reasons = memory.judge(places, [sign for _, sign in left])
            for (at, _), reason in zip(left, reasons, strict=True):
                found[at] = None if reason is None else (rule, reason)
        return found


def _place(row: Examined) -> Place:
    word, number = row.place.split()
    return Place(word, int(number))

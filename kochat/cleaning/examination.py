"""Cleaning's first pass examines each row alone: parse it, apply its correction, edit it, and decide whether it is dropped.

Here no row depends on another, so worker processes do the work in batches. Their results are written to a file
(:class:`Examined`) and compared in the second pass (:mod:`kochat.cleaning.comparison`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json

from kochat.cleaning.corrections import Correction, Corrections, bad_row_key
from kochat.cleaning.leaks import fixed_prompts
from kochat.cleaning.row_rules import edit_record, problem, token_problem
from kochat.cleaning.rules.bad_record import BAD_RECORD
from kochat.cleaning.rules.correction import CORRECTION
from kochat.cleaning.settings import CleanSettings
from kochat.data.encoding import encode_completion, encode_prompt
from kochat.data.records import CorpusRecord, Record, validate
from kochat.data.row_files import Row, RowError, parse
from kochat.data.splits import bucket
from kochat.text.unicode_form import prompt_key

Found = tuple[str, str]  # a rule, and why it drops the row
BATCH_ROWS = 500
_BATCH_BYTES = 1 << 18
_SHOWN = 1000  # characters of a bad row in the ledger


class Change(NamedTuple):
    """One rule's change of one field, or of the whole row if `field` is None."""

    field: str | None
    rule: str
    reason: str
    before: Any
    after: Any


class Examined(NamedTuple):
    """The result of the first pass for one row.

    `key` is the hash of the row as it was read. `before` has its values as read (for an unreadable row: its text, cut). `after` has
    its values after correction and edits (None for an unreadable row). `found` is the rule that drops the row and the reason.
    """

    at: int
    place: str
    key: str
    before: Any
    after: dict[str, Any] | None
    changes: list[Change]
    found: Found | None

    def dump(self) -> bytes:
        """Return the row as a line of JSON; `before` is null if no value was changed."""
        row = self._replace(before=None) if self.before == self.after else self
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def load(cls, line: bytes) -> Examined:
        """Read what :meth:`dump` wrote."""
        at, place, key, before, after, changes, found = from_json(line)
        changes = [Change(*change) for change in changes]
        before = after if before is None else before
        return cls(at, place, key, before, after, changes, None if found is None else tuple(found))


@dataclass
class Examination:
    """The context of the first pass; it can be pickled, for the workers."""

    settings: CleanSettings
    corrections: Corrections
    test_keys: frozenset[str]  # keys of the prompts in the raw folder's own test set
    tokenizer: Any = None


class Batch(NamedTuple):
    """Rows of one file that are examined together."""

    path: Path
    model: type[Record]
    rows: list[Row]


@dataclass
class Findings:
    """The results of a batch: a line for each row, place and fault of each unreadable row, and the rows of the test split."""

    lines: list[bytes] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)
    held_out: list[dict[str, Any]] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)
    size: int = 0  # bytes read


def batches(path: Path, model: type[Record], rows: Iterable[Row]) -> Iterator[Batch]:
    """Cut rows into batches. Where a batch ends depends only on the file, not on the number of workers."""
    taken: list[Row] = []
    size = 0
    for row in rows:
        taken.append(row)
        size += len(row.data)
        if len(taken) == BATCH_ROWS or size >= _BATCH_BYTES:
            yield Batch(path, model, taken)
            taken, size = [], 0
    if taken:
        yield Batch(path, model, taken)


def examine(known: Examination, batch: Batch) -> Findings:
    """Examine a batch of rows. Raises UserError if the file as a whole or a correction is wrong."""
    findings = Findings()
    for row in batch.rows:
        findings.size += len(row.data)
        one = _examine_row(known, batch, row, findings)
        findings.lines.append(one.dump())
        if one.found is None and one.after is not None and _held_out(known, batch.model, one.after):
            findings.held_out.append(one.after)
    return findings


def _examine_row(known: Examination, batch: Batch, row: Row, findings: Findings) -> Examined:
    value: Any = None
    try:
        value = parse(batch.path, row)
        record = validate(row, value, batch.model)
    except RowError as error:
        key = bad_row_key(row)
        correction = known.corrections.find(key, batch.path.name)
        if correction is None:
            findings.bad.append((row.place, str(error)))
            return Examined(row.at, row.place, key, _shown(row), None, [], (BAD_RECORD, str(error)))
        before: Any = value if isinstance(value, dict) else _shown(row)
    else:
        key, before = record.key, record.model_dump()
        correction = known.corrections.find(key, batch.path.name)
    changes: list[Change] = []
    if correction is not None:
        findings.corrected.append(key)
        if correction.action == "drop":
            return Examined(row.at, row.place, key, before, None, [], (CORRECTION, correction.reason))
        values = before if isinstance(before, dict) else {}
        record = _corrected(known.corrections, correction, values, batch.model, row)
        changes = _changes(correction, values, record.model_dump())
    edited, edits = edit_record(record, known.settings)
    changes += [
        Change(each.field, each.rule, f"{each.field} edited by {each.rule}", each.before, each.after) for each in edits
    ]
    found = problem(edited, known.settings) or _token_problem(known, edited)
    return Examined(row.at, row.place, key, before, edited.model_dump(), changes, found)


def _shown(row: Row) -> str:
    text = row.data.decode("utf-8").strip()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} characters)"


def _corrected(
    corrections: Corrections, correction: Correction, values: dict[str, Any], model: type[Record], row: Row
) -> Record:
    unknown = sorted(correction.set.keys() - model.model_fields.keys())
    if unknown:
        has = ", ".join(model.model_fields)
        raise corrections.error(correction.row, f'"set" names {unknown[0]!r}; a record of that file has {has}')
    try:
        return validate(row, {**values, **correction.set}, model)
    except RowError as error:
        raise corrections.error(correction.row, f"the corrected row is not valid: {error}") from None


def _changes(correction: Correction, before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    names = [name for name in correction.set if before.get(name) != after[name]]
    return [Change(name, CORRECTION, correction.reason, before.get(name), after[name]) for name in names]


def _token_problem(known: Examination, record: Record) -> Found | None:
    """Check the longest sequence that training builds from the row against `max_tokens`; None without a tokenizer."""
    if known.tokenizer is None:
        return None
    first, *completions = record.texts()
    if isinstance(record, CorpusRecord):
        return token_problem(len(encode_completion(known.tokenizer, first)), known.settings)
    longest = max((len(encode_completion(known.tokenizer, text)) for text in completions), default=0)
    return token_problem(len(encode_prompt(known.tokenizer, first)) + longest, known.settings)


def _held_out(known: Examination, model: type[Record], values: dict[str, Any]) -> bool:
    """Return whether a row with an answer is held out: its prompt is in the test split or test set, and near no fixed prompt."""
    if "prompt" not in values or len(values) == 1:
        return False
    prompt = values["prompt"]
    in_test = bucket(prompt) == "test" or prompt_key(prompt) in known.test_keys
    return in_test and fixed_prompts().reason(prompt) is None

"""Apply the rules of a single record: those that edit its texts, and those that decide whether and why it is dropped.

Every function is pure, raises for no text and takes time linear in its length, so worker processes can run it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from kochat.cleaning.rule_kinds import Bounds, LengthRule, Part, RecordRule, TextRule
from kochat.cleaning.rules import of_kind
from kochat.cleaning.rules.length import TOO_LONG, bounds, over_token_bound
from kochat.cleaning.settings import CleanSettings
from kochat.cleaning.text_edits import edit
from kochat.data.records import CorpusRecord, Record

_DEFAULT = CleanSettings()


class Edit(NamedTuple):
    """One rule's change of one field; `after` is the field's text after all edits."""

    field: str
    rule: str
    before: str
    after: str


def edit_record(record: Record, settings: CleanSettings = _DEFAULT) -> tuple[Record, list[Edit]]:
    """Return the record with every text edited by the rules that are on, and the edits that were made."""
    values: dict[str, Any] = record.model_dump()
    edits: list[Edit] = []
    for field, before in values.items():
        if isinstance(before, str) and field != "source":
            after, rules = edit(before, settings.on)
            values[field] = after
            edits += [Edit(field, rule, before, after) for rule in rules]
    return (record.model_copy(update=values) if edits else record), edits


def problem(record: Record, settings: CleanSettings = _DEFAULT) -> tuple[str, str] | None:
    """Return (rule, reason) if a rule drops the edited record, else None.

    Rules about the length of a text come first, then rules about its content, then rules that compare the texts of the record.
    """
    return next(_problems(record, settings), None)


def token_problem(tokens: int, settings: CleanSettings = _DEFAULT) -> tuple[str, str] | None:
    """Return (rule, reason) if `tokens`, the number of tokens of the record's longest row, is over `max_tokens`, else None."""
    reason = over_token_bound(tokens, settings.thresholds) if settings.on(TOO_LONG) else None
    return None if reason is None else (TOO_LONG, reason)


def _problems(record: Record, settings: CleanSettings) -> Iterator[tuple[str, str]]:
    """Yield (rule, reason) for every rule that is on and would drop the record."""
    lengths = [rule for rule in of_kind(LengthRule) if settings.on(rule.name)]
    for name, text, within in _bounded_texts(record, settings):
        for length in lengths:
            if reason := length.problem(text, within):
                yield length.name, f"{name}: {reason}"
    texts = [rule for rule in of_kind(TextRule) if settings.on(rule.name)]
    for name, part in _parts(record):
        for rule in texts:
            if reason := rule.problem(part, settings.thresholds):
                yield rule.name, f"{name}: {reason}"
    for whole in of_kind(RecordRule):
        if isinstance(record, whole.records) and settings.on(whole.name) and (reason := whole.problem(record)):
            yield whole.name, reason


def _bounded_texts(record: Record, settings: CleanSettings) -> Iterator[tuple[str, str, Bounds]]:
    """Yield (name for the reason, text, bounds) of each text of the record.

    In a preference record only the best answer must have text: a worse answer may be bad because it is empty.
    """
    if isinstance(record, CorpusRecord):
        yield "text", record.text, bounds("text", settings.thresholds)
        return
    prompt, *completions = record.texts()
    yield "prompt", prompt, bounds("prompt", settings.thresholds)
    within = bounds("completion", settings.thresholds)
    for rank, completion in enumerate(completions):
        name = "completion" if len(completions) == 1 else f"completion of rank {rank + 1}"
        yield name, completion, within if rank == 0 else Bounds(0, within.longest)


def _parts(record: Record) -> Iterator[tuple[str, Part]]:
    """Yield (name for the reason, text) for each text that must be good Korean."""
    if isinstance(record, CorpusRecord):
        yield "text", Part("text", record.text)
        return
    prompt, *completions = record.texts()
    yield "prompt", Part("prompt", prompt)
    if completions:
        yield "completion" if len(completions) == 1 else "best completion", Part("completion", completions[0], prompt)

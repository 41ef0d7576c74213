"""The cleaning rules of a record: edit its texts, then say whether it must go and why.

Every function is pure, never raises on any text and takes time linear in it, so a pool of processes can run them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from kochat.data.clean_settings import CleanSettings, load_settings
from kochat.data.records import CorpusRecord, PreferenceRecord, Record
from kochat.text.cleaning import Bounds, edit

__all__ = ["CleanSettings", "Edit", "edit_record", "load_settings", "problem", "token_problem"]

_DEFAULT = CleanSettings()


class Edit(NamedTuple):
    """One rule's change of one field; `after` is the field's text when all rules were done."""

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
    """Return (rule, reason) where the edited record itself must be dropped, else None.

    Of a preference record the best answer alone must have text: a bad answer may be empty, that is what is bad about it.
    """
    found = (each for each in _problems(record, settings) if settings.on(each[0]))
    return next(found, None)


def token_problem(tokens: int, settings: CleanSettings = _DEFAULT) -> tuple[str, str] | None:
    """Return (rule, reason) where a row of `tokens` tokens (the longest of a preference record) is over `max_tokens`."""
    if settings.max_tokens is None or tokens <= settings.max_tokens or not settings.on("too_long"):
        return None
    return "too_long", f"{tokens} tokens, more than {settings.max_tokens}"


def _problems(record: Record, settings: CleanSettings) -> Iterator[tuple[str, str]]:
    """Yield everything that speaks against the record, in the rules' order within each text."""
    for name, text, bounds in _bounded_texts(record, settings):
        if found := bounds.problem(text):
            yield found[0], f"{name}: {found[1]}"
    if isinstance(record, PreferenceRecord) and len(set(record.ordered)) < len(record.ordered):
        yield "equal_completions", "two of the three completions are the same text"


def _bounded_texts(record: Record, settings: CleanSettings) -> Iterator[tuple[str, str, Bounds]]:
    """Yield (name for the reason, text, bounds) of each text of the record."""
    if isinstance(record, CorpusRecord):
        yield "text", record.text, settings.bounds("text")
        return
    prompt, *completions = record.texts()
    yield "prompt", prompt, settings.bounds("prompt")
    bounds = settings.bounds("completion")
    for rank, completion in enumerate(completions):
        name = "completion" if len(completions) == 1 else f"completion of rank {rank + 1}"
        yield name, completion, Bounds(bounds.shortest if rank == 0 else 0, bounds.longest)

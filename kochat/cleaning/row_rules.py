"""The cleaning rules of a record: edit its texts, then say whether it must go and why.

Every function is pure, never raises on any text and takes time linear in it, so a pool of processes can run them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, NamedTuple

from kochat.cleaning.endings import cut_off
from kochat.cleaning.foreign import foreign, foreign_prompt
from kochat.cleaning.noise import noise
from kochat.cleaning.placeholders import placeholder
from kochat.cleaning.repetition import repetition
from kochat.cleaning.settings import CleanSettings, load_settings
from kochat.cleaning.text_edits import Bounds, edit
from kochat.data.records import CorpusRecord, PreferenceRecord, Record

__all__ = ["CleanSettings", "Edit", "edit_record", "load_settings", "problem", "token_problem"]

_DEFAULT = CleanSettings()
_SENTENCE_END = re.compile(r"[.!?。\n]+")
Check = Callable[[str], str | None]
_LANGUAGE: dict[str, Check] = {"noise": noise, "repetition": repetition, "placeholder": placeholder}


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
    """Yield everything that speaks against the record: of each text first its length, then what it says."""
    for name, text, bounds in _bounded_texts(record, settings):
        if found := bounds.problem(text):
            yield found[0], f"{name}: {found[1]}"
    for name, text, checks in _judged_texts(record, settings):
        for rule, check in checks.items():
            if settings.on(rule) and (reason := check(text)):
                yield rule, f"{name}: {reason}"
    if isinstance(record, PreferenceRecord):
        yield from _preference_problems(record)


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


def _judged_texts(record: Record, settings: CleanSettings) -> Iterator[tuple[str, str, dict[str, Check]]]:
    """Yield (name, text, checks) of what must be sound Korean: of a preference record the prompt and the best answer.

    A bad answer may be noise or a loop: that is what is bad about it.
    """
    least = settings.min_hangul
    if isinstance(record, CorpusRecord):
        yield "text", record.text, _LANGUAGE | {"non_korean": lambda text: foreign(text, least)}
        return
    prompt, *completions = record.texts()
    yield "prompt", prompt, _LANGUAGE | {"non_korean": lambda text: foreign_prompt(text, least)}
    if completions:
        of_answer: dict[str, Check] = {"non_korean": lambda text: foreign(text, least, prompt), "cut_off": cut_off}
        yield "completion" if len(completions) == 1 else "best completion", completions[0], _LANGUAGE | of_answer


def _preference_problems(record: PreferenceRecord) -> Iterator[tuple[str, str]]:
    if len(set(record.ordered)) < len(record.ordered):
        yield "equal_completions", "two of the three completions are the same text"
    for better, worse in combinations(range(3), 2):
        if _only_longer(record.ordered[better], record.ordered[worse]):
            yield "length_only", f"rank {better + 1} says the sentences of rank {worse + 1} over again"
            return


def _only_longer(better: str, worse: str) -> bool:
    """Say whether the better completion has the sentences of the worse, some of them more often, and nothing else.

    The other way round a record teaches not to repeat oneself, and one that goes on with new sentences teaches to say more.
    """
    first, second = _sentences(better), _sentences(worse)
    return bool(second) and len(first) > len(second) and set(first) == set(second)


def _sentences(text: str) -> list[str]:
    keys = ("".join(filter(str.isalnum, sentence)) for sentence in _SENTENCE_END.split(text))
    return [key for key in keys if key]

"""The cleaning rules of a record: edit its texts, then say whether it must go and why."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from kochat.data.records import CorpusRecord, PreferenceRecord, Record
from kochat.errors import UserError
from kochat.text.cleaning import Bounds, edit


@dataclass(frozen=True)
class CleanSettings:
    """Bounds of the length rules, in characters, after the edits; null for no upper bound.

    The defaults follow the counts of KoChatGPT-shaped data (12,627 SFT rows, 12,000 PPO prompts). A tenth of the prompts
    has under 10 characters, 심심해 among them, so only single characters go (4 prompts, 4 completions). 0.8% of the prompts
    have over 500 characters and 2% of the completions over 1,000; KoGPT2 spends a token on 2.5 of them (1.8 in the densest
    hundredth), so a row within both bounds fits its 1,024 positions. Corpus texts are packed and need no upper bound.
    """

    min_prompt: int = 2
    max_prompt: int | None = 500
    min_completion: int = 2
    max_completion: int | None = 1000
    min_text: int = 2
    max_text: int | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            wants = "a whole number" if name.startswith("min") else "a whole number or null"
            if not (value is None and name.startswith("max")) and (type(value) is not int or value < 0):
                raise UserError(f"clean settings: {name} is {value!r}; give {wants}, 0 or more")

    def bounds(self, field: str) -> Bounds:
        """Return the bounds of "prompt", "completion" or "text"."""
        return Bounds(getattr(self, f"min_{field}"), getattr(self, f"max_{field}"))


def load_settings(path: Path | None) -> CleanSettings:
    """Read settings from a YAML mapping, defaults where `path` is None. UserError for anything unknown in it."""
    if path is None:
        return CleanSettings()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}); correct it") from error
    known = [field.name for field in dataclasses.fields(CleanSettings)]
    unknown = sorted(set(values) - set(known)) if isinstance(values, dict) else [str(values)]
    if unknown:
        raise UserError(f"{path}: unknown setting {unknown[0]!r}; the settings are {', '.join(known)}")
    return CleanSettings(**values)


class Edit(NamedTuple):
    """One rule's change of one field; `after` is the field's text when all rules were done."""

    field: str
    rule: str
    before: str
    after: str


def edit_record(record: Record) -> tuple[Record, list[Edit]]:
    """Return the record with every text edited, and the edits that were made."""
    values: dict[str, Any] = record.model_dump()
    edits: list[Edit] = []
    for field, before in values.items():
        if isinstance(before, str) and field != "source":
            after, rules = edit(before)
            values[field] = after
            edits += [Edit(field, rule, before, after) for rule in rules]
    return (record.model_copy(update=values) if edits else record), edits


def problem(record: Record, settings: CleanSettings) -> tuple[str, str] | None:
    """Return (rule, reason) where the edited record itself must be dropped, else None.

    Of a preference record the best answer alone must have text: a bad answer may be empty, that is what is bad about it.
    """
    if isinstance(record, CorpusRecord):
        return _bounded("text", record.text, settings.bounds("text"))
    prompt, *completions = record.texts()
    found = _bounded("prompt", prompt, settings.bounds("prompt"))
    bounds = settings.bounds("completion")
    for rank, completion in enumerate(completions):
        least = bounds.shortest if rank == 0 else 0
        name = "completion" if len(completions) == 1 else f"completion of rank {rank + 1}"
        found = found or _bounded(name, completion, Bounds(least, bounds.longest))
    if found is None and isinstance(record, PreferenceRecord) and len(set(completions)) < len(completions):
        return "equal_completions", "two of the three completions are the same text"
    return found


def _bounded(name: str, text: str, bounds: Bounds) -> tuple[str, str] | None:
    found = bounds.problem(text)
    return None if found is None else (found[0], f"{name}: {found[1]}")

"""The prompts that every model answers: the frozen test set, the fixed prompts, and the validation prompts of the SFT file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kochat.data.files import SFT_FILE, TEST_FILE, TEST_PAIRS_FILE, TEST_PREFERENCE_FILE
from kochat.data.fixed_prompts import FIXED_PROMPTS
from kochat.data.guard import Guard
from kochat.data.labelled_pairs import read_pairs
from kochat.data.records import AnswerRecord, PreferenceRecord, SFTRecord, read_records
from kochat.data.splits import bucket
from kochat.text.unicode_form import prompt_key

FROZEN_VERSION = "v2"


class TrainingFilter:
    """Decide which split a row of a training file belongs to, and drop rows that would leak the test set.

    `clean` has already removed such rows from v2. Raw files (v1) still have them, and both versions must hold out the same prompts.
    """

    def __init__(self, data_dir: Path, *, raw: bool, preferences: bool = False) -> None:
        """If `raw`, guard the test set and the labelled pairs under `data_dir`; with `preferences` also the held-out preference prompts."""
        self.guards: list[Guard] = []
        if raw:
            frozen = data_dir / FROZEN_VERSION
            self.guards.append(Guard(FIXED_PROMPTS.values(), label="fixed prompt"))
            self.guards.append(Guard(record.prompt for record in read_records(frozen / TEST_FILE, AnswerRecord)))
            if (frozen / TEST_PAIRS_FILE).exists():
                self.guards.append(Guard(pair.prompt for pair in read_pairs(frozen / TEST_PAIRS_FILE)))
            if preferences and (frozen / TEST_PREFERENCE_FILE).exists():
                rows = read_records(frozen / TEST_PREFERENCE_FILE, PreferenceRecord)
                self.guards.append(Guard(record.prompt for record in rows))

    def split(self, prompt: str) -> str | None:
        """Return "train" or "validation", or None if the row is held out for test or would leak the test set."""
        part = bucket(prompt)
        if part == "test" or any(guard.reason(prompt) for guard in self.guards):
            return None
        return part


def frozen_rows(data_dir: Path, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the frozen test set's first `limit` rows in order of id, then all fixed prompts (kind "fixed", reference None).

    A row is {id, prompt, reference, kind}.
    """
    path = data_dir / FROZEN_VERSION / TEST_FILE
    if path.exists():
        records = sorted(read_records(path, AnswerRecord), key=lambda record: record.id)
        for record in records[:limit]:
            yield _row(record.id, record.prompt, record.completion, record.kind)
    for name, prompt in FIXED_PROMPTS.items():
        yield _row(name, prompt, None, "fixed")


def validation_rows(folder: Path, keep: TrainingFilter, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the validation prompts of the SFT file in `folder` with their references, the same at every stage.

    A row is {id, prompt, reference, kind}, one for each prompt, in the order of the hash of its key. So a smaller `limit` gives a
    subset of a larger one, and v1 and v2 get the same prompts. Without that file there are no rows.
    """
    path = folder / SFT_FILE
    first: dict[str, SFTRecord] = {}
    if path.exists():
        for record in read_records(path, SFTRecord):
            if keep.split(record.prompt) == "validation":
                first.setdefault(prompt_key(record.prompt), record)
    for _, record in sorted(first.items(), key=lambda item: hashlib.sha256(item[0].encode()).digest())[:limit]:
        yield _row(record.key, record.prompt, record.completion, "validation")


def _row(id_: str, prompt: str, reference: str | None, kind: str) -> dict[str, Any]:
    return {"id": id_, "prompt": prompt, "reference": reference, "kind": kind}

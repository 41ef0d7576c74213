"""Cleaning's second pass: each row beside others. Would it leak the test set, or did it stand in an earlier row?

Leaks and the keys and signatures of duplicates are found by worker processes (:func:`compare`); who came first is decided by the
parent, in file order (:class:`EarlierRows`), so the outcome does not depend on the number of workers.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from kochat.cleaning.examination import Examined
from kochat.cleaning.settings import CleanSettings
from kochat.data.fixed_prompts import FIXED_PROMPTS
from kochat.data.near_duplicates import FIELD_SEPARATOR, NearDuplicates, Signatures, near_text, signatures
from kochat.data.records import CorpusRecord, PreferenceRecord, Record, SFTRecord
from kochat.data.splits import Guard, bucket
from kochat.text.unicode_form import prompt_key

Found = tuple[str, str]  # a rule, and why it drops the row


@dataclass(frozen=True)
class Comparison:
    """What the second pass must know; picklable, for the workers, each of which builds its own guards."""

    settings: CleanSettings
    test_prompts: tuple[str, ...]
    test_preference_prompts: tuple[str, ...]

    @cached_property
    def test(self) -> Guard:
        """Guard the prompts of the frozen test set."""
        return Guard(self.test_prompts)

    @cached_property
    def preferences(self) -> Guard:
        """Guard the prompts of the preference records that were set aside."""
        return Guard(self.test_preference_prompts)

    @cached_property
    def fixed(self) -> Guard:
        """Guard the report's fixed prompts."""
        return Guard(FIXED_PROMPTS.values(), label="fixed prompt")


class Sound(NamedTuple):
    """A row that nothing speaks against but, perhaps, an earlier row: its text to compare, and hashes of it."""

    text: str
    exact: int
    prompt: int


class Compared(NamedTuple):
    """A batch of rows in file order. `signed` has the signatures of those that are sound, in their order."""

    rows: list[tuple[Examined, Sound | None]]
    signed: Signatures | None


class Lines(NamedTuple):
    """A batch of examined rows, as lines of the first pass."""

    model: type[Record]
    lines: list[bytes]


def compare(known: Comparison, batch: Lines) -> Compared:
    """Look for leaks in a batch, and compute of what is left what duplicates are found by."""
    rows: list[tuple[Examined, Sound | None]] = []
    for line in batch.lines:
        row = Examined.load(line)
        sound = None
        if row.found is None and row.after is not None:
            record = batch.model.model_construct(**row.after)
            row = row._replace(found=_leak(known, record))
            sound = _sound(record) if row.found is None else None
        rows.append((row, sound))
    texts = [sound.text for _, sound in rows if sound is not None]
    signed = (
        signatures(texts, known.settings.near_similarity) if texts and known.settings.on("near_duplicate") else None
    )
    return Compared(rows, signed)


def _sound(record: Record) -> Sound:
    first, *rest = record.texts()
    key = prompt_key(first)
    return Sound(near_text(record), _hash(first if isinstance(record, CorpusRecord) else key, *rest), _hash(key))


def _hash(*texts: str) -> int:
    """Return 64 bits in place of texts, so that a million rows stay in bounded memory."""
    digest = hashlib.blake2b("\x1f".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _leak(known: Comparison, record: Record) -> Found | None:
    """Return (rule, reason) where training on `record` would show the test set or a fixed prompt."""
    if isinstance(record, CorpusRecord):
        return None
    prompt, on = record.texts()[0], known.settings.on
    if on("fixed_prompt") and (reason := known.fixed.reason(prompt)):
        return "fixed_prompt", reason
    if on("held_out") and (bucket(prompt) == "test" or known.test.exact(prompt)):
        return "held_out", "its prompt belongs to the test split"
    if not on("near_test"):
        return None
    reason = known.test.reason(prompt)
    if reason is None and isinstance(record, PreferenceRecord):
        reason = known.preferences.reason(prompt)
    return ("near_test", reason) if reason else None


class EarlierRows:
    """Tell of each row of one file whether an earlier row makes it superfluous; of copies the first stays.

    Takes about 300 bytes a row: 64-bit hashes in place of texts, and the near duplicates' bands.
    """

    def __init__(self, model: type[Record], settings: CleanSettings) -> None:
        self._settings = settings
        self._conflicts = settings.on("conflict") and model is SFTRecord
        self._exact: dict[int, int] = {}  # the number (line or record) of the first row with these texts
        self._answered: dict[int, int] = {}  # the number of the first row that stayed with this prompt
        self._near = NearDuplicates(settings.near_similarity)
        self._fed = array("Q")  # the number of each row that was fed to `_near`

    def judge(self, batch: Compared) -> list[Found | None]:
        """Return for each row of the batch the rule that drops it and why, or None where it stays."""
        found = [row.found or self._repeats(row, sound) for row, sound in batch.rows]
        if batch.signed is not None:
            self._find_near(batch.rows, batch.signed, found)
        if self._conflicts:
            for at, (row, sound) in enumerate(batch.rows):
                if found[at] is None and sound is not None:
                    found[at] = self._contradicts(row, sound)
        return found

    def _repeats(self, row: Examined, sound: Sound | None) -> Found | None:
        if sound is None or not self._settings.on("exact_duplicate"):
            return None
        word, number = _place(row)
        first = self._exact.setdefault(sound.exact, number)
        return None if first == number else ("exact_duplicate", f"same as {word} {first}")

    def _find_near(
        self, rows: Sequence[tuple[Examined, Sound | None]], signed: Signatures, found: list[Found | None]
    ) -> None:
        """Drop the near duplicates among the rows that are still in; `signed` counts the sound rows only."""
        sound_rows = [(at, row, sound) for at, (row, sound) in enumerate(rows) if sound is not None]
        left = [(at, row, sound, of) for of, (at, row, sound) in enumerate(sound_rows) if found[at] is None]
        matches = self._near.feed([sound.text for _, _, sound, _ in left], signed[[of for *_, of in left]])
        self._fed.extend(_place(row)[1] for _, row, _, _ in left)
        for (at, row, _, _), match in zip(left, matches, strict=True):
            if match is not None:
                first = f"{_place(row)[0]} {self._fed[match.row]}"
                text = _cut(self._near.text(match.row).replace(FIELD_SEPARATOR, " | "))
                found[at] = ("near_duplicate", f"near duplicate ({match.similarity:.2f}) of {first}: {text}")

    def _contradicts(self, row: Examined, sound: Sound) -> Found | None:
        word, number = _place(row)
        first = self._answered.setdefault(sound.prompt, number)
        return None if first == number else ("conflict", f"answers the prompt of {word} {first} otherwise")


def _cut(text: str, length: int = 300) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def _place(row: Examined) -> tuple[str, int]:
    """Take "line 12" or "record 12" apart: a number takes less memory than its text."""
    word, number = row.place.split()
    return word, int(number)

"""Plant labelled dirt among clean rows: of every kind that cleaning should drop or repair.

A label says file, row index, kind, field, what cleaning should do ("drop" the row or "repair" the field), the clean
text of a repair, and for a duplicate the row index of its original, which always comes first.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kochat.sample.bad_answers import english_noise, repetition

Row = dict[str, Any]
TOO_LONG_CHARS = 1_000  # the longest clean row has under 300


@dataclass
class _Planted:
    """A row on its way into the file, with its label and, for a duplicate, the row that it repeats."""

    row: Row
    kind: str | None = None
    field: str | None = None
    clean: str | None = None
    original: _Planted | None = None


def duplicate_count(dirty_rows: int) -> int:
    """Return how many of `dirty_rows` rows :func:`plant` adds as duplicates; it spoils the others in place."""
    return sum(_kind(index) in _DUPLICATES for index in range(dirty_rows))


def _kind(index: int) -> str:
    return _KINDS[index % len(_KINDS)]


def dirty_field(row: Row) -> str:
    """Return the field that dirt goes into: the best completion, the completion, the prompt or the text."""
    if "ranking" in row:
        return f"completion_{row['ranking'][0]}"
    return next(field for field in ("completion", "prompt", "text") if field in row)


def plant(file: str, rows: Sequence[Row], count: int, rng: random.Random) -> tuple[list[Row], list[dict[str, Any]]]:
    """Return `rows` with `count` dirty ones among them, and a label for each dirty row, in row order.

    Duplicates are added, of rows that are clean; all other dirt replaces the row that it is made from. ValueError where
    there are not enough rows without quotes (in them, stray quotes could not be told from the text's own).
    """
    planted = [_Planted(row) for row in rows]
    usable = [item for item in planted if not _QUOTE_MARKS & set(item.row[dirty_field(item.row)])]
    if len(usable) < count:
        raise ValueError(f"{file}: {count} dirty rows need as many rows without quotes; there are {len(usable)}")
    sources = rng.sample(usable, k=count)
    kinds = [_kind(index) for index in range(count)]
    copies = [_copy(kind, item, rng) for kind, item in zip(kinds, sources, strict=True) if kind in _DUPLICATES]
    for kind, item in zip(kinds, sources, strict=True):
        if kind not in _DUPLICATES:
            _spoil(kind, item, rng)
    planted += copies
    rng.shuffle(planted)
    _put_originals_first(planted)
    place = {id(item): index for index, item in enumerate(planted)}
    labels = [_label(file, index, item, place) for index, item in enumerate(planted) if item.kind]
    return [item.row for item in planted], labels


def _put_originals_first(planted: list[_Planted]) -> None:
    place = {id(item): index for index, item in enumerate(planted)}
    for item in [item for item in planted if item.original is not None]:
        mine, other = place[id(item)], place[id(item.original)]
        if mine < other:
            planted[mine], planted[other] = planted[other], planted[mine]
            place[id(item)], place[id(item.original)] = other, mine


def _label(file: str, index: int, item: _Planted, place: dict[int, int]) -> dict[str, Any]:
    return {
        "file": file,
        "index": index,
        "kind": item.kind,
        "field": item.field,
        "action": "repair" if item.clean is not None else "drop",
        "clean": item.clean,
        "of": None if item.original is None else place[id(item.original)],
    }


def _spoil(kind: str, item: _Planted, rng: random.Random) -> None:
    field = dirty_field(item.row)
    text = item.row[field]
    item.kind, item.field = kind, field
    item.clean = text if kind in _REPAIRABLE else None
    item.row = {**item.row, field: (_REPAIRABLE.get(kind) or _HOPELESS[kind])(text, rng)}


def _copy(kind: str, original: _Planted, rng: random.Random) -> _Planted:
    """Return a duplicate: exact, or with a filler word before the first text and other punctuation after it."""
    row = dict(original.row)
    if kind == "near_duplicate":
        field = "prompt" if "prompt" in row else "text"
        row[field] = f"{rng.choice(_FILLERS)} {row[field].rstrip('?!.')}{rng.choice(('', '!', '..'))}"
        return _Planted(row, kind, field, None, original)
    return _Planted(row, kind, None, None, original)


def _whitespace(text: str, rng: random.Random) -> str:
    spaced = "".join(char + rng.choice(("", " ", "  ", "\t")) if char == " " else char for char in text)
    return f"{rng.choice((' ', '  ', chr(10), chr(9)))}{spaced}{rng.choice(('   ', chr(10) * 2, ' ' + chr(10)))}"


def _stray_quotes(text: str, rng: random.Random) -> str:
    return rng.choice((f'"{text}"', f"'{text}", f'"{text}', f'{text}"', f"“{text}”"))


def _token_residue(text: str, rng: random.Random) -> str:
    count = rng.randint(5, 180)
    return text + rng.choice((f" token: {count}", f"\ntokens: {count}", f" (token: {count})", f"', 'token': {count}}}"))


def _unicode(text: str, rng: random.Random) -> str:
    """Take the syllables apart (NFD), as files from macOS do, or strew zero-width spaces between the words."""
    if rng.random() < 0.5:
        return unicodedata.normalize("NFD", text)
    return "\u200b" + text.replace(" ", " \u200b")


def _too_short(_: str, rng: random.Random) -> str:
    return rng.choice(("네", "음", "응", "ㅇ", "."))


def _too_long(text: str, _: random.Random) -> str:
    """Number copies of the text until they are too long: neither a loop of one phrase nor one long word."""
    parts = [text]
    while sum(map(len, parts)) <= TOO_LONG_CHARS:
        parts.append(f"{len(parts) + 1}. {text}")
    return " ".join(parts)


def _noise(text: str, rng: random.Random) -> str:
    """Return wrongly decoded bytes, syllables that no Korean word has, or keys struck at random; as long as `text`."""
    kind = rng.randrange(3)
    if kind == 0:
        return text.encode("utf-8").decode("latin-1").translate(_PRINTABLE)
    alphabet = _ODD_SYLLABLES if kind == 1 else "ㅂㅈㄷㅁㄴㄹㅌㅊㅍ;#@%^&*~"
    return "".join(" " if char == " " else rng.choice(alphabet) for char in text)


def _english_noise(text: str, rng: random.Random) -> str:
    return english_noise(len(text), rng)


_FILLERS = ("저기,", "음,", "혹시", "그런데,", "아,")
_QUOTE_MARKS = frozenset("'\"‘’“”`")
_PRINTABLE = dict.fromkeys(range(0x80, 0xA0), "¤")
_ODD_SYLLABLES = "뷁쀍뒓꿻쌟췕뜳꽯먟뽦걟줽쥻햏콟퓛"
_REPAIRABLE: dict[str, Callable[[str, random.Random], str]] = {
    "whitespace": _whitespace,
    "stray_quotes": _stray_quotes,
    "token_residue": _token_residue,
    "unicode": _unicode,
}
_HOPELESS: dict[str, Callable[[str, random.Random], str]] = {
    "too_short": _too_short,
    "too_long": _too_long,
    "noise": _noise,
    "english_noise": _english_noise,
    "repetition": repetition,
}
_DUPLICATES = ("exact_duplicate", "near_duplicate")
_KINDS = (*_DUPLICATES, *_REPAIRABLE, *_HOPELESS)

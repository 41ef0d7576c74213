"""Add labelled dirt to clean rows, of every kind that cleaning should drop or repair.

A label has the file, row index, kind and field of the dirt; what cleaning should do ("drop" the row or "repair" the field); the clean
text for a repair; and for a duplicate the row index of its original, which always comes first.
"""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kochat.world.bad_answers import english_noise, repetition

SampleRow = dict[str, Any]  # one line of a file: {prompt, completion}, {text, source} and so on, depending on the stage
TOO_LONG_CHARS = 1_000  # the longest clean row has under 300


@dataclass
class _Planted:
    """A row before it is written, with its label and, for a duplicate, the row that it repeats."""

    row: SampleRow
    kind: str | None = None
    field: str | None = None
    clean: str | None = None
    original: _Planted | None = None


def duplicate_count(dirty_rows: int, *, ranked: bool) -> int:
    """Return how many of `dirty_rows` rows :func:`plant` adds as duplicates; the others replace clean rows.

    `ranked` is True for preference records, which have two more kinds of dirt.
    """
    return sum(kind in _DUPLICATES for kind in _kinds(dirty_rows, ranked=ranked))


def _kinds(count: int, *, ranked: bool) -> list[str]:
    """Return the kinds of `count` dirty rows, each kind in turn; `ranked` adds the kinds for preference records."""
    kinds = (*_KINDS, *_RANKED) if ranked else _KINDS
    return [kinds[index % len(kinds)] for index in range(count)]


def dirty_field(row: SampleRow) -> str:
    """Return the field that gets the dirt: the best completion, the completion, the prompt or the text."""
    if "ranking" in row:
        return f"completion_{row['ranking'][0]}"
    return next(field for field in ("completion", "prompt", "text") if field in row)


def plant(
    file: str, rows: Sequence[SampleRow], count: int, rng: random.Random
) -> tuple[list[SampleRow], list[dict[str, Any]]]:
    """Return `rows` with `count` dirty rows among them, and a label for each dirty row, in row order.

    Duplicates are added rows, copies of clean rows. Other dirt replaces the row that it is made from. Rows with quotes are not used,
    because planted quotes could not be distinguished from the quotes of the text.

    Raises:
        ValueError: if there are fewer than `count` rows without quotes.
    """
    planted = [_Planted(row) for row in rows]
    usable = [item for item in planted if not _QUOTE_MARKS & set(item.row[dirty_field(item.row)])]
    if len(usable) < count:
        raise ValueError(f"{file}: {count} dirty rows need as many rows without quotes; there are {len(usable)}")
    sources = rng.sample(usable, k=count)
    kinds = _kinds(count, ranked="ranking" in rows[0])
    copies = [_copy(kind, item, rng) for kind, item in zip(kinds, sources, strict=True) if kind in _DUPLICATES]
    for kind, item in zip(kinds, sources, strict=True):
        if kind not in _DUPLICATES:
            _spoil(kind, item, rng)
    planted += copies
    rng.shuffle(planted)
    _put_originals_first(planted)
    _label_repeats(planted)
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


def _label_repeats(planted: list[_Planted]) -> None:
    """Label as duplicates the rows that the row writer itself repeats: a corpus states its facts more than once.

    Such a row is an exact duplicate, or a near duplicate if it differs by a filler word and punctuation. Without the label, dropping
    it would count as a mistake. A row that cleaning should repair is compared by its repaired text.
    """
    exact: dict[str, _Planted] = {}
    bare: dict[str, _Planted] = {}
    for item in planted:
        if item.kind not in (None, *_DUPLICATES, *_REPAIRABLE):
            continue
        row = item.row if item.clean is None else {**item.row, str(item.field): item.clean}
        same, alike = (
            seen.setdefault(json.dumps(r, sort_keys=True), item) for seen, r in ((exact, row), (bare, _bare(row)))
        )
        if item.kind is None and alike is not item:
            item.kind, item.original = "exact_duplicate" if same is not item else "near_duplicate", alike


def _bare(row: SampleRow) -> SampleRow:
    """Return `row` without the parts that a near duplicate changes: a filler word before its first text, punctuation after it."""
    field = "prompt" if "prompt" in row else "text"
    words = row[field].rstrip("?!. ").split(" ")
    return {**row, field: " ".join(words[1:] if words[0] in _FILLERS else words)}


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
    if kind in _RANKED:  # middle gets the text of best; length_only: best then says it twice
        middle = f"completion_{item.row['ranking'][1]}"
        best = text if kind == "equal_completions" else f"{text} {text}"
        item.row = {**item.row, field: best, middle: text}
        return
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
    """Decompose the syllables (NFD), as macOS file names do, or put zero-width spaces between the words."""
    if rng.random() < 0.5:
        return unicodedata.normalize("NFD", text)
    return "\u200b" + text.replace(" ", " \u200b")


def _markup(text: str, rng: random.Random) -> str:
    """Return `text` with HTML around it, at its end, or in place of one blank."""
    forms = (f"<p>{text}</p>", f'<div class="answer">{text}</div>', f"<b>{text}</b>", f"{text}<br>", f"{text}<br />")
    return rng.choice((*forms, text.replace(" ", "&nbsp;", 1) if " " in text else f"<span>{text}</span>"))


def _special_tokens(text: str, rng: random.Random) -> str:
    return rng.choice(
        (f"{text}</s>", f"<s>{text}</s>", f"{text}<|endoftext|>", f"{text}<pad><pad>", f"[CLS] {text} [SEP]")
    )


def _placeholder(text: str, rng: random.Random) -> str:
    """Return `text` after an anonymised name, as in corpora of speech and of customer orders."""
    return f"{rng.choice(('#이름#', '#고객명#님,', '#주소#,', 'name1 씨,', '&name2&', 'OOO님,', '○○○ 씨,'))} {text}"


def _too_short(_: str, rng: random.Random) -> str:
    return rng.choice(("네", "음", "응", "ㅇ", "."))


def _too_long(text: str, _: random.Random) -> str:
    """Return numbered copies of the text that are too long together; they are neither a loop of one phrase nor one long word."""
    parts = [text]
    while sum(map(len, parts)) <= TOO_LONG_CHARS:
        parts.append(f"{len(parts) + 1}. {text}")
    return " ".join(parts)


def _noise(text: str, rng: random.Random) -> str:
    """Return wrongly decoded bytes, syllables that no Korean word has, or keys typed at random, about as long as `text`."""
    kind = rng.randrange(3)
    if kind == 0:
        return text.encode("utf-8").decode("latin-1").translate(_PRINTABLE)
    alphabet = _ODD_SYLLABLES if kind == 1 else "ㅂㅈㄷㅁㄴㄹㅌㅊㅍ;#@%^&*~"
    return "".join(" " if char == " " else rng.choice(alphabet) for char in text)


def _english_noise(text: str, rng: random.Random) -> str:
    return english_noise(len(text), rng)


_FILLERS = ("저기,", "저기요,", "음,", "혹시", "그런데,", "아,")
_QUOTE_MARKS = frozenset("'\"‘’“”`")
_PRINTABLE = dict.fromkeys(range(0x80, 0xA0), "¤")
_ODD_SYLLABLES = "뷁쀍뒓꿻쌟췕뜳꽯먟뽦걟줽쥻햏콟퓛"
_REPAIRABLE: dict[str, Callable[[str, random.Random], str]] = {
    "whitespace": _whitespace,
    "stray_quotes": _stray_quotes,
    "token_residue": _token_residue,
    "unicode": _unicode,
    "markup": _markup,
    "special_tokens": _special_tokens,
}
_HOPELESS: dict[str, Callable[[str, random.Random], str]] = {
    "too_short": _too_short,
    "too_long": _too_long,
    "noise": _noise,
    "english_noise": _english_noise,
    "repetition": repetition,
    "placeholder": _placeholder,
}
_DUPLICATES = ("exact_duplicate", "near_duplicate")
_RANKED = ("equal_completions", "length_only")
_KINDS = (*_DUPLICATES, *_REPAIRABLE, *_HOPELESS)

"""The kinds of cleaning rules. Each kind is a class with one function (for :class:`RepeatRule` two) that a rule supplies.

A rule is an object of one of these classes, in a file of its own under :mod:`kochat.cleaning.rules`. The kinds are applied in this
order; the rules of one kind are sorted by their `order`:

1. :class:`EditRule` edits a text;
2. :class:`LengthRule`, :class:`TextRule` and :class:`RecordRule` drop a record because of its own texts;
3. :class:`LeakRule` drops a record that would show the test set to a model;
4. :class:`RepeatRule` drops a row because of an earlier row of its file.

Every function of a rule must be importable by name (no lambda), since worker processes call it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from kochat.cleaning.leaks import Guards
from kochat.data.records import CorpusRecord, PreferenceRecord, PromptRecord, Record, SFTRecord

Thresholds = Mapping[str, Any]  # the thresholds of all rules, by name
ALL_RECORDS = (SFTRecord, PreferenceRecord, PromptRecord, CorpusRecord)


class Words(NamedTuple):
    """A name in the report, in Korean and English."""

    ko: str
    en: str


class Dirt(NamedTuple):
    """A kind of dirt that the embedded world plants (:mod:`kochat.world.dirt`); `words` is None if the rule's name serves for it."""

    kind: str
    words: Words | None = None


class Threshold(NamedTuple):
    """A number that a rule depends on and a config may set.

    `takes` is the kind of value: a "share" above 0 and at most 1, a "count" of 0 or more, or a "bound", which is a count or None.
    """

    name: str
    default: float | None
    takes: Literal["share", "count", "bound"]

    def accepts(self, value: object) -> bool:
        """Return whether `value` is allowed."""
        if self.takes == "share":
            return type(value) in (int, float) and 0 < value <= 1  # type: ignore[operator]
        return (self.takes == "bound" and value is None) or (type(value) is int and value >= 0)

    def wants(self) -> str:
        """Return in words which values are allowed."""
        if self.takes == "share":
            return "a number above 0, at most 1"
        return f"a whole number{' or null' if self.takes == 'bound' else ''}, 0 or more"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The attributes of all rules.

    Args:
        name: the name in the ledger, the config and the command line.
        order: the rule's place in the order of application and in lists; it is unique. Leave gaps between the numbers.
        does: what it does, in one line.
        words: its name in a report.
        on: whether it is applied by default.
        switchable: whether a config may switch it on or off.
        thresholds: the numbers that it depends on.
        planted: the kinds of planted dirt that this rule should find.
    """

    name: str
    order: int
    does: str
    words: Words
    on: bool = True
    switchable: bool = True
    thresholds: tuple[Threshold, ...] = ()
    planted: tuple[Dirt, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FirstPassRule(Rule):
    """A step that the first pass itself does before all rules: it has no function here and cannot be switched off."""

    switchable: bool = False


@dataclass(frozen=True, kw_only=True)
class EditRule(Rule):
    """Edit a text: `edit` returns the text, changed or not. `edit` must be idempotent."""

    edit: Callable[[str], str]


class Bounds(NamedTuple):
    """The shortest and the longest text that is kept, in characters; `longest` is None for no bound."""

    shortest: int
    longest: int | None = None


@dataclass(frozen=True, kw_only=True)
class LengthRule(Rule):
    """Drop a record because of the length of one of its texts: `problem` returns why, or None."""

    problem: Callable[[str, Bounds], str | None]


class Part(NamedTuple):
    """A text of a record that must be good Korean; a preference record has two, the prompt and the best answer.

    The worse answers are not judged: they may be bad because they are noise or a loop.
    """

    of: Literal["prompt", "completion", "text"]
    text: str
    prompt: str = ""  # the prompt that a completion answers


@dataclass(frozen=True, kw_only=True)
class TextRule(Rule):
    """Drop a record because of the content of one of its texts: `problem` returns why, or None."""

    problem: Callable[[Part, Thresholds], str | None]


@dataclass(frozen=True, kw_only=True)
class RecordRule(Rule):
    """Drop a record of one of the types `records` after comparing its texts: `problem` returns why, or None."""

    problem: Callable[[Any], str | None]
    records: tuple[type[Record], ...] = ALL_RECORDS


@dataclass(frozen=True, kw_only=True)
class LeakRule(Rule):
    """Drop a record whose prompt is, or nearly is, a held-out prompt: `reason` returns why, or None."""

    reason: Callable[[Record, Guards], str | None]


class Place(NamedTuple):
    """The place of a row in its file: ("line", 12), or in a JSON array ("record", 12); numbers start at 1."""

    word: str
    number: int

    def __str__(self) -> str:
        return f"{self.word} {self.number}"


class Memory(Protocol):
    """What a rule remembers about the kept rows of one file."""

    def judge(self, places: Sequence[Place], signs: Sequence[Any]) -> list[str | None]:
        """Return for each of the next rows, in file order, why it repeats an earlier row, or None if it is kept."""
        ...


@dataclass(frozen=True, kw_only=True)
class RepeatRule(Rule):
    """Drop a row because of an earlier row of its file.

    Workers call `sign`, which returns for each record of a batch a small, picklable value (its sign). Rows are compared by their signs.
    The parent process passes the signs in file order to the file's `memory`, so the result does not depend on the number of workers.
    """

    sign: Callable[[Sequence[Record], Thresholds], Sequence[Any]]
    memory: Callable[[Thresholds], Memory]
    records: tuple[type[Record], ...] = ALL_RECORDS

"""What a cleaning rule is: a kind for each way of looking at rows, each with one function to fill in.

A rule is an object of one of these classes in a file of its own under :mod:`kochat.cleaning.rules`. The kinds are applied in the order
in which they stand here, and the rules of one kind in the order of their `order`:

1. :class:`EditRule` mends a text;
2. :class:`LengthRule`, :class:`TextRule` and :class:`RecordRule` drop a record for what it is, by itself;
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
    """How a report names a thing."""

    ko: str
    en: str


class Dirt(NamedTuple):
    """A kind of dirt that the embedded world plants (:mod:`kochat.world.dirt`); `words` None where it is named as its rule is."""

    kind: str
    words: Words | None = None


class Threshold(NamedTuple):
    """A number that a rule depends on, as a config may set it.

    `takes` is what it may be: a "share" above 0 and at most 1, a "count" of 0 or more, or a "bound", which is a count or None.
    """

    name: str
    default: float | None
    takes: Literal["share", "count", "bound"]

    def accepts(self, value: object) -> bool:
        """Say whether `value` may be given."""
        if self.takes == "share":
            return type(value) in (int, float) and 0 < value <= 1  # type: ignore[operator]
        return (self.takes == "bound" and value is None) or (type(value) is int and value >= 0)

    def wants(self) -> str:
        """Say in words what may be given."""
        if self.takes == "share":
            return "a number above 0, at most 1"
        return f"a whole number{' or null' if self.takes == 'bound' else ''}, 0 or more"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What all rules have.

    Args:
        name: the name in the ledger, the config and the command line.
        order: when it is applied, and where it stands in lists; no two rules have the same. Leave room between numbers.
        does: one line on what it does.
        words: its name in a report.
        on: whether it is applied unless a config says otherwise.
        switchable: whether a config may say otherwise.
        thresholds: the numbers that it depends on.
        planted: the dirt of the embedded world that this rule is to find.
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
    """What the first pass does of its own accord, before all rules: it has no function here and no switch."""

    switchable: bool = False


@dataclass(frozen=True, kw_only=True)
class EditRule(Rule):
    """Mend a text: `edit` returns it changed, or as it was. Editing twice must change nothing more."""

    edit: Callable[[str], str]


class Bounds(NamedTuple):
    """The shortest and the longest text that stays, in characters; `longest` None for no bound."""

    shortest: int
    longest: int | None = None


@dataclass(frozen=True, kw_only=True)
class LengthRule(Rule):
    """Drop a record by the length of one of its texts: `problem` returns why, or None."""

    problem: Callable[[str, Bounds], str | None]


class Part(NamedTuple):
    """A text of a record that must be sound Korean: of a preference record the prompt and the best answer.

    A bad answer may be noise or a loop: that is what is bad about it.
    """

    of: Literal["prompt", "completion", "text"]
    text: str
    prompt: str = ""  # the prompt that a completion answers


@dataclass(frozen=True, kw_only=True)
class TextRule(Rule):
    """Drop a record for what one of its texts says: `problem` returns why, or None."""

    problem: Callable[[Part, Thresholds], str | None]


@dataclass(frozen=True, kw_only=True)
class RecordRule(Rule):
    """Drop a record of the types `records` for how its texts stand to each other: `problem` returns why, or None."""

    problem: Callable[[Any], str | None]
    records: tuple[type[Record], ...] = ALL_RECORDS


@dataclass(frozen=True, kw_only=True)
class LeakRule(Rule):
    """Drop a record with a prompt because of what is held out for the test: `reason` returns why, or None."""

    reason: Callable[[Record, Guards], str | None]


class Place(NamedTuple):
    """Where a person finds a row: ("line", 12), or in an array ("record", 12)."""

    word: str
    number: int

    def __str__(self) -> str:
        return f"{self.word} {self.number}"


class Memory(Protocol):
    """What a rule remembers of the rows of one file that stayed."""

    def judge(self, places: Sequence[Place], signs: Sequence[Any]) -> list[str | None]:
        """Return for each of the next rows, in file order, why an earlier row makes it superfluous, or None where it stays."""
        ...


@dataclass(frozen=True, kw_only=True)
class RepeatRule(Rule):
    """Drop a row because of an earlier row of its file.

    Workers call `sign`: of a batch of records it returns one sign each, small and picklable, by which they are compared. The parent
    then hands the signs to the `memory` of the file, in file order, so the outcome does not depend on the number of workers.
    """

    sign: Callable[[Sequence[Record], Thresholds], Sequence[Any]]
    memory: Callable[[Thresholds], Memory]
    records: tuple[type[Record], ...] = ALL_RECORDS

"""Validate the records of KoChatGPT's files, and explain what is wrong with a bad row.

Additional keys (such as KoChatGPT's ``tokens``) are ignored. :mod:`kochat.data.row_files` splits a file into rows.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from kochat.data.row_files import Row, RowError, iter_rows, parse
from kochat.errors import UserError

MAX_BAD_SHARE = 0.01  # of a file's rows; with more, it is probably a different kind of file


class Record(BaseModel):
    """A row of a data file. Strict: text must be text, never a number or null."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    def texts(self) -> tuple[str, ...]:
        """Return the row's texts, which together identify it."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """A hash of the row's texts, 16 hex digits."""
        return hashlib.sha256("\x1f".join(self.texts()).encode()).hexdigest()[:16]


class SFTRecord(Record):
    """A prompt and the completion to learn."""

    prompt: str
    completion: str

    def texts(self) -> tuple[str, ...]:
        """Return (prompt, completion)."""
        return self.prompt, self.completion


class PreferenceRecord(Record):
    """A prompt, three completions, and `ranking`: the completions' indices from best to worst.

    ``ranking [1, 0, 2]`` means that completion_1 is best: KoChatGPT's files were built with indices in order from best to worst. The
    notebook of KoChatGPT reads them as one rank per item instead, which reverses about a fifth of the pairs.
    """

    prompt: str
    completion_0: str
    completion_1: str
    completion_2: str
    ranking: list[int]

    @field_validator("ranking")
    @classmethod
    def _permutation(cls, ranking: list[int]) -> list[int]:
        if sorted(ranking) != [0, 1, 2]:
            message = "must order the indices 0, 1 and 2 from best to worst, each once, like [1, 0, 2]"
            raise PydanticCustomError("ranking", "{message}", {"message": message})
        return ranking

    @property
    def ordered(self) -> tuple[str, str, str]:
        """The three completions, best first."""
        completions = (self.completion_0, self.completion_1, self.completion_2)
        best, middle, worst = self.ranking
        return completions[best], completions[middle], completions[worst]

    def texts(self) -> tuple[str, ...]:
        """Return (prompt, best, middle, worst)."""
        return self.prompt, *self.ordered


class PromptRecord(Record):
    """A prompt alone, for PPO."""

    prompt: str

    def texts(self) -> tuple[str, ...]:
        """Return (prompt,)."""
        return (self.prompt,)


class CorpusRecord(Record):
    """A document to pretrain on, and where it came from."""

    text: str
    source: str = ""

    def texts(self) -> tuple[str, ...]:
        """Return (text,)."""
        return (self.text,)


class AnswerRecord(Record):
    """A row of the frozen test set: a prompt, its reference answer and what kind of question it is."""

    id: str
    prompt: str
    completion: str
    kind: str

    def texts(self) -> tuple[str, ...]:
        """Return (prompt, completion)."""
        return self.prompt, self.completion


class PairRecord(Record):
    """A held-out pair of answers to one prompt, and what kind of fault the worse answer has.

    `kind` is one word, such as ``wrong``, because it is a part of a metric's name. In the kind ``length`` both answers are
    equally good, and `better` is the longer one.
    """

    id: str
    prompt: str
    better: str
    worse: str
    kind: str

    @field_validator("worse")
    @classmethod
    def _two_answers(cls, worse: str, info: ValidationInfo) -> str:
        if worse == info.data.get("better"):
            raise PydanticCustomError("pair", 'is the same text as "better", so there is nothing to choose')
        return worse

    @field_validator("kind")
    @classmethod
    def _one_word(cls, kind: str) -> str:
        if not re.fullmatch(r"[\w-]+", kind):
            raise PydanticCustomError("kind", "must be one word of letters, digits, _ and -, like other_prompt")
        return kind

    def texts(self) -> tuple[str, ...]:
        """Return (prompt, better, worse)."""
        return self.prompt, self.better, self.worse


RecordT = TypeVar("RecordT", bound=Record)
ModelT = TypeVar("ModelT", bound=BaseModel)


def read_records(path: str | Path, model: type[RecordT], max_bad_share: float = MAX_BAD_SHARE) -> Iterator[RecordT]:
    """Yield the validated records of `path` in file order; bad rows are skipped and counted, with one warning.

    A row is bad if it is broken JSON, lacks a key, has a value of the wrong type or a ranking that is no permutation. Only raw data has
    bad rows; `clean` and the DataModules read it by this same rule.

    Raises:
        UserError: if the file is missing, empty, not UTF-8 or cut off; or, after all rows, if more than `max_bad_share` (0 to 1) of
            them were bad. The message names file, line or record, field and remedy.
    """
    path = Path(path)
    bad = BadRows()
    for row in iter_rows(path):
        bad.read += 1
        try:
            record = validate(row, parse(path, row), model)
        except RowError as error:
            bad.add(row.place, str(error))
            continue
        yield record
    bad.check(path, max_bad_share)
    if bad.count:
        warnings.warn(f"{path}: skipped {bad.first} ({bad.told()})", stacklevel=2)


@dataclass
class BadRows:
    """Count the rows and the bad rows of a file, and remember the first bad rows."""

    read: int = 0
    count: int = 0
    first: str = ""
    others: list[str] = field(default_factory=list)  # the places of the next three bad rows

    def add(self, place: str, fault: str) -> None:
        """Count a bad row at `place`; `fault` says what is wrong with it."""
        self.count += 1
        if self.count == 1:
            self.first = fault
        elif self.count <= 4:
            self.others.append(place)

    def check(self, path: Path, max_share: float = MAX_BAD_SHARE) -> None:
        """Raise UserError if more than `max_share` (0 to 1) of the file's rows were bad."""
        if self.count <= max_share * self.read:
            return
        raise UserError(f"{path}: {self.first} ({self.told()}; more than {max_share:.0%} is an error)")

    def told(self) -> str:
        """Return the counts as a short text, with the places of the next bad rows."""
        following = f"; the next: {', '.join(self.others)}" if self.others else ""
        return f"{self.count:,} of {self.read:,} records {'is' if self.count == 1 else 'are'} bad{following}"


def validate(row: Row, value: Any, model: type[ModelT]) -> ModelT:
    """Return a row's JSON value as a `model`. Raises RowError with the first fault of the value."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise RowError(f"{row.place}: {_explain(error.errors()[0], model)}") from None


def _explain(error: ErrorDetails, model: type[BaseModel]) -> str:
    field = ".".join(map(str, error["loc"]))
    expected = ", ".join(model.model_fields)
    if not field and error["type"] != "model_type":
        return f"{error['msg']}; correct it"
    if not field:
        return f"is {_kind(error['input'])}, not an object; write an object with {expected}"
    if error["type"] == "missing":
        return f'has no "{field}"; add it or remove the record (a record here has {expected})'
    if error["type"] == "string_type":
        return f'"{field}" is {_kind(error["input"])}, not text; correct it or remove the record'
    found = repr(error["input"])
    found = found if len(found) <= 40 else found[:37] + "..."
    return f'"{field}" is {found}: {error["msg"]}; correct it or remove the record'


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "text" if isinstance(value, str) else "an object")

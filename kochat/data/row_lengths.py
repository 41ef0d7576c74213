"""How long a stage's rows may be: what a stage must know of its data before it trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class RowLengths:
    """The longest rows that a DataModule's settings allow, in tokens; None where they set no bound.

    Args:
        row: prompt and completion together.
        prompt: a prompt with its template.
    """

    row: int | None = None
    prompt: int | None = None

    def with_answer(self, max_new_tokens: int, more: int = 0) -> dict[str, int]:
        """Return the longest prompt with its answer and ``more`` tokens, under the fields that decide it; nothing without a bound."""
        field = "data.max_prompt_length + model.max_new_tokens" + (f" + {more}" if more else "")
        return {} if self.prompt is None else {field: self.prompt + max_new_tokens + more}


class TokenisedData(Protocol):
    """A DataModule whose texts are encoded with the tokenizer that a stage gives it.

    Attributes:
        row_lengths: how long its rows may be.
    """

    @property
    def row_lengths(self) -> RowLengths:
        """How long rows may be."""
        ...

    def connect(self, tokenizer: Any) -> None:
        """Take the tokenizer that texts are encoded with."""
        ...

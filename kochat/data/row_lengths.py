"""The longest rows of a stage's data, which a stage must know before it trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class RowLengths:
    """The longest rows that a DataModule's settings allow, in tokens; None if there is no bound.

    Args:
        row: prompt and completion together.
        prompt: a prompt with its template.
    """

    row: int | None = None
    prompt: int | None = None

    def with_answer(self, max_new_tokens: int, more: int = 0) -> dict[str, int]:
        """Return {names of the settings: longest prompt + answer + ``more``, in tokens}; empty if prompts have no bound."""
        field = "data.max_prompt_length + model.max_new_tokens" + (f" + {more}" if more else "")
        return {} if self.prompt is None else {field: self.prompt + max_new_tokens + more}


class TokenisedData(Protocol):
    """A DataModule whose texts are encoded with the tokenizer that a stage gives it.

    Attributes:
        row_lengths: the longest rows, in tokens.
    """

    @property
    def row_lengths(self) -> RowLengths:
        """The longest rows, in tokens."""
        ...

    def connect(self, tokenizer: Any) -> None:
        """Set the tokenizer that encodes all texts."""
        ...

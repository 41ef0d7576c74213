"""Batches as dataclasses, and the masks that are computed from their lengths.

Masks are computed from lengths, never from ``ids != pad``: if the padding token is EOS, that would also mask the real EOS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from torch import Tensor

from kochat.functional import length_mask, span_mask

AnyBatch = TypeVar("AnyBatch", bound="Batch")
OTHER = 3  # the grade of another prompt's answer, after 0 best, 1 middle and 2 worst


@dataclass
class Batch:
    """Rows of token ids.

    Args:
        input_ids: (n, t) padded token ids.
        lengths: (n,) number of real tokens in each row.
        ids: one name for each record.
    """

    input_ids: Tensor
    lengths: Tensor
    ids: list[str]

    def to(self: AnyBatch, device: Any, **options: Any) -> AnyBatch:
        """Return the batch on ``device``; Lightning calls it to move batches."""
        return self._with_tensors(lambda tensor: tensor.to(device, **options))

    def pin_memory(self: AnyBatch) -> AnyBatch:
        """Return the batch in page-locked memory; DataLoaders call it."""
        return self._with_tensors(lambda tensor: tensor.pin_memory())

    def _with_tensors(self: AnyBatch, change: Any) -> AnyBatch:
        tensors = {each.name: value for each in fields(self) if isinstance(value := getattr(self, each.name), Tensor)}
        return replace(self, **{name: change(tensor) for name, tensor in tensors.items()})


@dataclass
class PromptBatch(Batch):
    """Prompts to be answered, padded on the left.

    Args:
        prompts: the n texts.
        references: the n reference answers; None for a prompt without one.
        kinds: the kind of each prompt, such as ``held_out`` or ``fixed``.
    """

    prompts: list[str]
    references: list[str | None]
    kinds: list[str]

    @property
    def mask(self) -> Tensor:
        """Return (n, t) bool, True on real tokens, which are at the end of each row."""
        return length_mask(self.lengths, self.input_ids.shape[1]).flip(1)

    def shard(self, rank: int, ranks: int) -> PromptBatch:
        """Return the prompts rank, rank + ranks, rank + 2 * ranks and so on."""
        return self.part(slice(rank, None, ranks))

    def part(self, rows: slice) -> PromptBatch:
        """Return the prompts of a slice."""
        return PromptBatch(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})


@dataclass
class TextBatch(Batch):
    """Prompts with their completions, or blocks of a corpus (prompts of length 0), padded on the right.

    Args:
        prompt_lengths: (n,) number of tokens in each prompt.
    """

    prompt_lengths: Tensor

    @property
    def mask(self) -> Tensor:
        """Return (n, t) bool, True on real tokens."""
        return length_mask(self.lengths, self.input_ids.shape[1])

    @property
    def targets(self) -> Tensor:
        """Return (n, t - 1) bool, True at position i if token i + 1 has loss: completion and EOS, or a whole block."""
        return span_mask(self.prompt_lengths, self.lengths, self.input_ids.shape[1])[:, 1:]


@dataclass
class PreferenceBatch(Batch):
    """Records with three completions each, padded on the right. Each completion is a row: 3 records give n = 9 rows.

    In evaluation a record may have a fourth row: its prompt with the best completion of another record
    (`kochat.data.mismatched_answers`).

    Args:
        prompt_lengths: (n,) number of tokens in each row's prompt.
        pairs: (p, 2) row numbers, [chosen, rejected].
        grades: (n,) 0 for a record's best completion, 1 middle, 2 worst, `OTHER` for another prompt's answer.
        row: (n,) the index of each row's record in the batch.
        prompts: the records' prompts.
        completions: the records' three completions, best to worst.
        others: the records' answers to another prompt, None for a record without one; empty in training.
    """

    prompt_lengths: Tensor
    pairs: Tensor
    grades: Tensor
    row: Tensor
    prompts: list[str]
    completions: list[list[str]]
    others: list[str | None] = field(default_factory=list)

    @property
    def mask(self) -> Tensor:
        """Return (n, t) bool, True on real tokens."""
        return length_mask(self.lengths, self.input_ids.shape[1])

    def by_grade(self, scores: Tensor) -> Tensor:
        """Arrange the scores (n,) of the rows as (records, 3): best, middle, worst."""
        return self._arranged(scores)[:, :OTHER]

    def of_others(self, scores: Tensor) -> Tensor:
        """Return the scores of the answers to another prompt, (records,); NaN for a record without one."""
        return self._arranged(scores)[:, OTHER]

    def _arranged(self, scores: Tensor) -> Tensor:
        table = scores.new_full((len(self.ids), OTHER + 1), math.nan)
        table[self.row, self.grades] = scores
        return table


@dataclass
class LabelledPairBatch(Batch):
    """Held-out pairs of answers, padded on the right. Rows 2i and 2i + 1 are the better and the worse answer of pair i.

    Args:
        prompts: the pairs' prompts.
        answers: the pairs' answers, (better, worse).
        kinds: the pairs' kinds, such as ``wrong``.
    """

    prompts: list[str]
    answers: list[tuple[str, str]]
    kinds: list[str]

    @property
    def mask(self) -> Tensor:
        """Return (n, t) bool, True on real tokens."""
        return length_mask(self.lengths, self.input_ids.shape[1])

"""Make batches of encoded rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kochat.data.batches import OTHER, Batch, LabelledPairBatch, PreferenceBatch, PromptBatch, TextBatch

EncodedRow = dict[str, Any]

_PAIRS = ((0, 1), (0, 2), (1, 2))  # [chosen, rejected] among three completions in order from best to worst


def pad_right(sequences: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Return (n, longest) int64 token ids, with `pad_id` after shorter sequences."""
    width = max(map(len, sequences))
    return torch.tensor([[*ids, *[pad_id] * (width - len(ids))] for ids in sequences], dtype=torch.long)


def pad_left(sequences: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Return (n, longest) int64 token ids, with `pad_id` before shorter sequences, so that all end in the last column."""
    width = max(map(len, sequences))
    return torch.tensor([[*[pad_id] * (width - len(ids)), *ids] for ids in sequences], dtype=torch.long)


def lengths_of(sequences: Sequence[Sequence[int]]) -> Tensor:
    """Return (n,) int64: the number of tokens in each sequence."""
    return torch.tensor([len(ids) for ids in sequences], dtype=torch.long)


class Collator:
    """Base of the collate functions. They hold the padding id and can be pickled for worker processes."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, rows: list[EncodedRow]) -> Batch:
        """Return the rows as one batch."""
        raise NotImplementedError


class CompletionCollator(Collator):
    """Collate {id, prompt_ids, completion_ids}."""

    def __call__(self, rows: list[EncodedRow]) -> TextBatch:
        """Return prompts with their completions."""
        sequences = [[*row["prompt_ids"], *row["completion_ids"]] for row in rows]
        return TextBatch(
            input_ids=pad_right(sequences, self.pad_id),
            lengths=lengths_of(sequences),
            ids=[row["id"] for row in rows],
            prompt_lengths=lengths_of([row["prompt_ids"] for row in rows]),
        )


class BlockCollator(Collator):
    """Collate {id, input_ids} blocks of a corpus; every token is a target."""

    def __call__(self, rows: list[EncodedRow]) -> TextBatch:
        """Return blocks as a TextBatch with prompts of length 0."""
        sequences = [row["input_ids"] for row in rows]
        return TextBatch(
            input_ids=pad_right(sequences, self.pad_id),
            lengths=lengths_of(sequences),
            ids=[row["id"] for row in rows],
            prompt_lengths=torch.zeros(len(rows), dtype=torch.long),
        )


class PreferenceCollator(Collator):
    """Collate {id, prompt, completions, prompt_ids, completion_ids (three, best first)}.

    In evaluation a row also has {other, other_ids}: an answer to another prompt, or None.
    """

    def __call__(self, rows: list[EncodedRow]) -> PreferenceBatch:
        """Return each completion as one row, then the answers to other prompts; and pairs of row numbers."""
        places = [(index, grade) for index in range(len(rows)) for grade in range(OTHER)]
        places += [(index, OTHER) for index, row in enumerate(rows) if row.get("other_ids") is not None]
        sequences = [[*rows[index]["prompt_ids"], *_completion(rows[index], grade)] for index, grade in places]
        pairs = [
            [OTHER * index + chosen, OTHER * index + rejected]
            for index in range(len(rows))
            for chosen, rejected in _PAIRS
        ]
        return PreferenceBatch(
            input_ids=pad_right(sequences, self.pad_id),
            lengths=lengths_of(sequences),
            ids=[row["id"] for row in rows],
            prompt_lengths=lengths_of([rows[index]["prompt_ids"] for index, _ in places]),
            pairs=torch.tensor(pairs, dtype=torch.long),
            grades=torch.tensor([grade for _, grade in places]),
            row=torch.tensor([index for index, _ in places]),
            prompts=[row["prompt"] for row in rows],
            completions=[list(row["completions"]) for row in rows],
            others=[row.get("other") for row in rows],
        )


def _completion(row: EncodedRow, grade: int) -> Sequence[int]:
    """Return the token ids of one of a preference row's completions, or of its answer to another prompt."""
    return row["other_ids"] if grade == OTHER else row["completion_ids"][grade]


class LabelledPairCollator(Collator):
    """Collate {id, prompt, better, worse, kind, prompt_ids, better_ids, worse_ids}."""

    def __call__(self, rows: list[EncodedRow]) -> LabelledPairBatch:
        """Return each answer as one row, the better one first."""
        sequences = [[*row["prompt_ids"], *row[side]] for row in rows for side in ("better_ids", "worse_ids")]
        return LabelledPairBatch(
            input_ids=pad_right(sequences, self.pad_id),
            lengths=lengths_of(sequences),
            ids=[row["id"] for row in rows],
            prompts=[row["prompt"] for row in rows],
            answers=[(row["better"], row["worse"]) for row in rows],
            kinds=[row["kind"] for row in rows],
        )


class PromptCollator(Collator):
    """Collate {id, prompt, reference, kind, prompt_ids}."""

    def __call__(self, rows: list[EncodedRow]) -> PromptBatch:
        """Return prompts, padded on the left."""
        sequences = [row["prompt_ids"] for row in rows]
        return PromptBatch(
            input_ids=pad_left(sequences, self.pad_id),
            lengths=lengths_of(sequences),
            ids=[row["id"] for row in rows],
            prompts=[row["prompt"] for row in rows],
            references=[row["reference"] for row in rows],
            kinds=[row["kind"] for row in rows],
        )

"""Make batches of encoded rows: plain dicts of tensors, padded from lengths, never masked by `ids != pad`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Row = dict[str, Any]
Batch = dict[str, Any]

_PAIRS = ((0, 1), (0, 2), (1, 2))  # [chosen, rejected] among three completions that stand from best to worst


def pad_right(sequences: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Return (n, longest) long, with `pad_id` behind shorter sequences."""
    width = max(map(len, sequences))
    return torch.tensor([[*ids, *[pad_id] * (width - len(ids))] for ids in sequences], dtype=torch.long)


def pad_left(sequences: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Return (n, longest) long, with `pad_id` before shorter sequences, so that all end together."""
    width = max(map(len, sequences))
    return torch.tensor([[*[pad_id] * (width - len(ids)), *ids] for ids in sequences], dtype=torch.long)


def lengths_of(sequences: Sequence[Sequence[int]]) -> Tensor:
    """Return (n,) long: the number of tokens in each sequence."""
    return torch.tensor([len(ids) for ids in sequences], dtype=torch.long)


class Collator:
    """Base of the collate functions: they carry the padding id, and pickle for worker processes."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, rows: list[Row]) -> Batch:
        """Return the rows as one batch."""
        raise NotImplementedError


class CompletionCollator(Collator):
    """Collate {id, prompt_ids, completion_ids} into an SFT batch."""

    def __call__(self, rows: list[Row]) -> Batch:
        """Return input_ids (b, t) right-padded, lengths (b,), prompt_lengths (b,) and ids."""
        sequences = [[*row["prompt_ids"], *row["completion_ids"]] for row in rows]
        return {
            "input_ids": pad_right(sequences, self.pad_id),
            "lengths": lengths_of(sequences),
            "prompt_lengths": lengths_of([row["prompt_ids"] for row in rows]),
            "ids": [row["id"] for row in rows],
        }


class BlockCollator(Collator):
    """Collate {id, input_ids} blocks of a corpus; every token is a target."""

    def __call__(self, rows: list[Row]) -> Batch:
        """Return input_ids (b, t) right-padded, lengths (b,), prompt_lengths (b,) all 0, and ids."""
        sequences = [row["input_ids"] for row in rows]
        return {
            "input_ids": pad_right(sequences, self.pad_id),
            "lengths": lengths_of(sequences),
            "prompt_lengths": torch.zeros(len(rows), dtype=torch.long),
            "ids": [row["id"] for row in rows],
        }


class PreferenceCollator(Collator):
    """Collate {id, prompt, completions, prompt_ids, completion_ids (three, best first)} into a preference batch."""

    def __call__(self, rows: list[Row]) -> Batch:
        """Return each completion once (n = 3 rows), and the pairs, which index them.

        input_ids (n, t) right-padded, lengths, prompt_lengths, grades (0 best, 1 middle, 2 worst) and row (index of the
        record) all (n,), pairs (3 rows, 2) as [chosen, rejected], and per record ids, prompts and completions.
        """
        sequences = [[*row["prompt_ids"], *ids] for row in rows for ids in row["completion_ids"]]
        pairs = [
            [3 * index + chosen, 3 * index + rejected] for index in range(len(rows)) for chosen, rejected in _PAIRS
        ]
        return {
            "input_ids": pad_right(sequences, self.pad_id),
            "lengths": lengths_of(sequences),
            "prompt_lengths": lengths_of([row["prompt_ids"] for row in rows]).repeat_interleave(3),
            "pairs": torch.tensor(pairs, dtype=torch.long),
            "grades": torch.arange(3).repeat(len(rows)),
            "row": torch.arange(len(rows)).repeat_interleave(3),
            "ids": [row["id"] for row in rows],
            "prompts": [row["prompt"] for row in rows],
            "completions": [list(row["completions"]) for row in rows],
        }


class PromptCollator(Collator):
    """Collate {id, prompt, reference, kind, prompt_ids} into a prompt batch."""

    def __call__(self, rows: list[Row]) -> Batch:
        """Return input_ids (b, t) LEFT-padded, lengths (b,), ids, prompts, references (None where unknown) and kinds."""
        sequences = [row["prompt_ids"] for row in rows]
        return {
            "input_ids": pad_left(sequences, self.pad_id),
            "lengths": lengths_of(sequences),
            "ids": [row["id"] for row in rows],
            "prompts": [row["prompt"] for row in rows],
            "references": [row["reference"] for row in rows],
            "kinds": [row["kind"] for row in rows],
        }

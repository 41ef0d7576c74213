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


class PackedCollator(CompletionCollator):
    """Collate {id, prompt_ids, completion_ids} into a packed SFT batch: several examples a row, none of which sees another.

    The examples and their loss are those of the unpacked batch; only the padding is gone.
    """

    def __init__(self, pad_id: int, max_length: int) -> None:
        super().__init__(pad_id)
        self.max_length = max_length

    def __call__(self, rows: list[Row]) -> Batch:
        """Return input_ids (r, t), segments (r, t) from 1 with 0 on pads, targets (r, t) bool, and ids."""
        lengths = [len(row["prompt_ids"]) + len(row["completion_ids"]) for row in rows]
        bins = first_fit_decreasing(lengths, self.max_length)
        sequences, segments, targets = [], [], []
        for chosen in bins:
            parts = [(rows[index]["prompt_ids"], rows[index]["completion_ids"]) for index in chosen]
            sequences.append([token for part in parts for ids in part for token in ids])
            segments.append([place for place, part in enumerate(parts, 1) for ids in part for _ in ids])
            targets.append([int(place) for part in parts for place, ids in enumerate(part) for _ in ids])
        return {
            "input_ids": pad_right(sequences, self.pad_id),
            "segments": pad_right(segments, 0),
            "targets": pad_right(targets, 0).bool(),
            "ids": [row["id"] for row in rows],
        }


def first_fit_decreasing(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Put items into bins of ``room``, longest first, each into the first bin that has room (Johnson 1973).

    Returns:
        The indices in each bin. An item longer than ``room`` has a bin to itself.
    """
    bins: list[list[int]] = []
    free: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        place = next((place for place, left in enumerate(free) if left >= lengths[index]), None)
        if place is None:
            bins.append([])
            free.append(room)
            place = len(bins) - 1
        bins[place].append(index)
        free[place] -= lengths[index]
    return bins


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

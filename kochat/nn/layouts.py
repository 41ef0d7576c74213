"""Arrange rows of tokens without padding, with each shared prefix stored once.

Rows often have the same beginning: the prompt template, or the prompt of a preference record's completions. A causal
model computes the same states for a common prefix in every row. So each distinct (prefix, token) pair is stored once,
in a single sequence.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch


class Layout:
    """The map between the unpadded sequence and the rows.

    Args:
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens, which are contiguous in each row.

    Attributes:
        tokens: (n,) token ids.
        positions: (n,) position of each token in its rows, from 0.
        slots_of_real: (number of real tokens,) the slot (index into ``tokens``) of each real token, row by row.
        slots: (b * width,) the slot at each place of the left-aligned rows; any slot on pads.
        places: (n,) one place of each token, counted through all rows.
        copies: (c,) the further places of tokens that several rows share; ``copied``: (c,) the slots of these tokens.
        rows: b, the number of rows; ``width``: the length of the longest row.

    Raises:
        ValueError: a row has no token.
    """

    def __init__(self, sequences: torch.Tensor, mask: torch.Tensor) -> None:
        device = sequences.device
        lengths = mask.sum(1).tolist()
        if 0 in lengths:
            raise ValueError(f"row {lengths.index(0)} has no token")
        rows = list(_split(sequences[mask].tolist(), lengths))
        slots, tokens, positions, shared = _share_prefixes(rows)
        self.rows, self.width = len(rows), max(lengths)
        own = [(row, place) for row, length in enumerate(lengths) for place in range(shared[row], length)]
        extra = [(row, place) for row in range(len(rows)) for place in range(shared[row])]

        def tensor(values: list[int]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.long, device=device)

        self.tokens, self.positions = tensor(tokens), tensor(positions)
        self.slots_of_real = tensor([slot for row in slots for slot in row])
        self.slots = tensor([slot for row in slots for slot in row + [0] * (self.width - len(row))])
        order = sorted(own, key=lambda at: slots[at[0]][at[1]])
        self.places = tensor([row * self.width + place for row, place in order])
        self.copies = tensor([row * self.width + place for row, place in extra])
        self.copied = tensor([slots[row][place] for row, place in extra])


def _split(tokens: list[int], lengths: list[int]) -> Iterator[list[int]]:
    """Yield the tokens of each row."""
    start = 0
    for length in lengths:
        yield tokens[start : start + length]
        start += length


def _share_prefixes(rows: list[list[int]]) -> tuple[list[list[int]], list[int], list[int], list[int]]:
    """Give every distinct prefix of the rows one slot.

    The rows are sorted: then the longest common prefix with any earlier row is the one with the previous row.

    Returns:
        (slots, tokens, positions, shared): each row's slots, the slots' tokens and positions, and the number of tokens
        that each row shares with an earlier row.
    """
    slots: list[list[int]] = [[] for _ in rows]
    tokens: list[int] = []
    positions: list[int] = []
    shared = [0] * len(rows)
    before, its_slots = [], []  # type: ignore[var-annotated]
    for index in sorted(range(len(rows)), key=rows.__getitem__):
        row = rows[index]
        same = _common_prefix(before, row)
        slots[index] = its_slots[:same] + list(range(len(tokens), len(tokens) + len(row) - same))
        tokens += row[same:]
        positions += range(same, len(row))
        shared[index] = same
        before, its_slots = row, slots[index]
    return slots, tokens, positions, shared


def _common_prefix(one: list[int], other: list[int]) -> int:
    """Return the length of the common prefix of two rows, in tokens."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )

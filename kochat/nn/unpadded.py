"""Run a model on rows of tokens without padding, and on each prefix that rows have in common once.

Prompts and answers of different lengths leave much of a padded batch empty, and rows begin alike: all with the prompt template,
a preference record's completions with their prompt. A causal model gives the tokens of a common prefix the same states in every row.
So all distinct (prefix, token) pairs stand one after the other in a single sequence that embeddings, projections and norms run on.
Attention alone puts the rows together again. The numbers, gradients too, are those of the padded pass, to rounding.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from kochat.nn.roles import Role

ATTENTION = "kochat_packed_rows"


class PackedRows:
    """Rows of token ids, laid out for a forward pass; the layout is made once and serves every role.

    Args:
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens, which stand together in each row.
        packing: False runs the padded rows as they are; so does a role whose architecture is not known to pack (`Role.packs`).
    """

    def __init__(self, sequences: torch.Tensor, mask: torch.Tensor, packing: bool = True) -> None:
        self.sequences, self.mask, self.packing = sequences, mask, packing

    @cached_property
    def layout(self) -> Layout:
        """Return how the n packed tokens and the rows belong together."""
        return Layout(self.sequences, self.mask)

    def states(self, role: Role, where: torch.Tensor) -> torch.Tensor:
        """Return a role's last hidden states at some of the real tokens.

        Args:
            role: any role.
            where: (b, t) bool, True on the k tokens that are wanted, all of them real.

        Returns:
            (k, hidden), in the order of the rows.
        """
        if not (self.packing and role.packs):
            return role.hidden(self.sequences, self.mask)[where]
        layout = self.layout
        slots = layout.slots_of_real[where[self.mask]]
        hidden = role.packed_hidden(layout.tokens, layout.positions, layout.width, slots, ATTENTION, layout=layout)
        return hidden.index_select(0, slots)


def last_scores(role: Role, rows: PackedRows) -> torch.Tensor:
    """Return a reward model's score at each row's last real token, (b,)."""
    columns = torch.arange(rows.mask.shape[1], device=rows.mask.device)
    last = (rows.mask * columns).argmax(dim=1, keepdim=True)
    return role.project(rows.states(role, columns == last))


class Layout:
    """Which packed token stands where in which row.

    Args:
        sequences: (b, t) token ids.
        mask: (b, t) bool, as in `PackedRows`.

    Attributes:
        tokens: (n,) token ids.
        positions: (n,) each one's place in its rows, from 0.
        slots_of_real: (number of real tokens,) the packed token of each, row by row.
        slots: (b * width,) the packed token at each place of the rows, which are pushed to the left; any on pads.
        places: (n,) a place, counted through all rows, where each packed token stands.
        copies: (c,) the further places of the tokens that several rows have, ``copied`` (c,) those tokens.
        rows: b, and ``width`` the longest row's length.

    Raises:
        ValueError: when a row has no token.
    """

    def __init__(self, sequences: torch.Tensor, mask: torch.Tensor) -> None:
        device = sequences.device
        lengths = mask.sum(1).tolist()
        if 0 in lengths:
            raise ValueError(f"row {lengths.index(0)} has no token")
        rows = [list(part) for part in _split(sequences[mask].tolist(), lengths)]
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


def _split(tokens: list[int], lengths: list[int]):
    """Yield the tokens of each row."""
    start = 0
    for length in lengths:
        yield tokens[start : start + length]
        start += length


def _share_prefixes(rows: list[list[int]]) -> tuple[list[list[int]], list[int], list[int], list[int]]:
    """Give every distinct prefix of the rows one slot.

    Among sorted rows, a row's longest common prefix with any row before it is that with the last one.

    Returns:
        (slots, tokens, positions, shared): each row's slots, the slots' tokens and positions, and how many of each row's first tokens
        had their slot from another row.
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
    """Return how many tokens two rows begin with alike."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


class _Unpack(torch.autograd.Function):
    """(n, w) packed -> (rows * width, w): every place gets its token; a token's gradient is the sum over its places."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layout: Layout) -> torch.Tensor:
        ctx.layout = layout
        return x.index_select(0, layout.slots)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        layout = ctx.layout
        own = gradient.index_select(0, layout.places)
        return own.index_add_(0, layout.copied, gradient.index_select(0, layout.copies)), None


class _Pack(torch.autograd.Function):
    """(rows * width, w) -> (n, w): each packed token is taken from one of its places, since all hold the same."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layout: Layout) -> torch.Tensor:
        ctx.layout, ctx.size = layout, x.shape
        return x.index_select(0, layout.places)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient.new_zeros(ctx.size).index_copy_(0, ctx.layout.places, gradient), None


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    layout: Layout,
    scaling: float | None = None,
    dropout: float = 0.0,
    **unused: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within rows: transformers' attention interface over packed tokens.

    Rows begin at their first place and end in pads, so that the causal rule alone keeps real tokens from seeing a pad.

    Args:
        module: the attention layer.
        query: (1, heads, n, d); key and value (1, key heads, n, d).
        key: see query.
        value: see query.
        attention_mask: none is made.
        layout: where the tokens belong.
        scaling: of the scores; None takes 1 / sqrt(d).
        dropout: on the weights.
        unused: what other attention functions need. A window, a soft cap or sinks would be left out: `Role.packs` is False of models
            that have them.

    Returns:
        (1, n, heads, d) and None.
    """
    heads, groups = query.shape[1], query.shape[1] // key.shape[1]
    query, key, value = (_rows_of(x, layout) for x in (query, key, value))
    if groups > 1:
        key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    output = scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True, scale=scaling)
    flat = output.transpose(1, 2).reshape(layout.rows * layout.width, -1)
    return _Pack.apply(flat, layout).view(1, -1, heads, output.shape[-1]), None


def _rows_of(x: torch.Tensor, layout: Layout) -> torch.Tensor:
    """(1, heads, n, d) -> (rows, heads, width, d)."""
    _, heads, count, size = x.shape
    flat = _Unpack.apply(x.transpose(1, 2).reshape(count, heads * size), layout)
    return flat.view(layout.rows, layout.width, heads, size).transpose(1, 2)


AttentionInterface.register(ATTENTION, packed_attention)


def rows_of(sequences: torch.Tensor, mask: torch.Tensor, *, unpad: bool) -> PackedRows:
    """Lay rows out (stand-in)."""
    return PackedRows(sequences, mask, unpad)

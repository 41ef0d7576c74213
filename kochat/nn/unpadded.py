"""Run a model on rows of tokens without padding, and only once on each prefix that rows share.

With prompts and answers of different lengths, much of a padded batch is padding. Here all distinct tokens are in one
sequence (`kochat.nn.layouts`), on which embeddings, projections and norms run. Only attention needs the rows, and
rebuilds them (`kochat.nn.attention`). Values and gradients equal those of the padded pass up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import nn

from kochat.nn.attention import ATTENTION, UNPADDABLE, sees_all_before
from kochat.nn.backbones import backbone_of
from kochat.nn.layouts import Layout
from kochat.nn.roles import Role
from kochat.nn.rows import PaddedRows, Rows


def rows_of(sequences: torch.Tensor, mask: torch.Tensor, *, unpad: bool) -> Rows:
    """Return rows that run without padding, or padded rows.

    Args:
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens, which are contiguous in each row.
        unpad: run without padding, and only once on shared prefixes; the results are the same up to rounding.
    """
    return UnpaddedRows(sequences, mask) if unpad else PaddedRows(sequences, mask)


class UnpaddedRows:
    """Rows that run without padding; all roles use the same layout.

    A model that does not support this runs on padded rows, with one warning.

    Args:
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens, which are contiguous in each row.
    """

    def __init__(self, sequences: torch.Tensor, mask: torch.Tensor) -> None:
        self.sequences, self.mask = sequences, mask

    @cached_property
    def layout(self) -> Layout:
        """Return the layout of the tokens; computed once."""
        return Layout(self.sequences, self.mask)

    def states(self, role: Role, where: torch.Tensor) -> torch.Tensor:
        """Return a role's last hidden states at ``where``; see `Rows.states`."""
        if obstacle := obstacle_to_unpadding(role):
            role.shared.warn_once(f"{role.name}: its rows are padded, because {obstacle}")
            return PaddedRows(self.sequences, self.mask).states(role, where)
        layout = self.layout
        slots = layout.slots_of_real[where[self.mask]]
        with last_mlp_at(backbone_of(role.host), slots):
            hidden = role.run(
                layout.tokens.unsqueeze(0),
                layout.positions.unsqueeze(0),
                layout.width,
                attention_mask=layout.tokens.new_ones(
                    1, 1, 1, 1
                ),  # four dimensions, so that transformers makes no n x n mask
                use_cache=False,
                layout=layout,
            )
        return hidden[0].index_select(0, slots)


def obstacle_to_unpadding(role: Role) -> str:
    """Return the reason why a role's model needs padding; empty if `UnpaddedRows` can run it without."""
    backbone: Any = backbone_of(role.host)
    config = backbone.config
    if not sees_all_before(config):
        return (
            f"the attention of a {config.model_type} with these settings is not known to be right without padding; "
            f"known are {', '.join(UNPADDABLE)} without a sliding window"
        )
    if config._attn_implementation != ATTENTION:
        return f"its attention was set to {config._attn_implementation!r}"
    if getattr(backbone, "is_gradient_checkpointing", False):
        return "gradient checkpointing is on"
    return ""


@contextmanager
def last_mlp_at(backbone: nn.Module, wanted: torch.Tensor) -> Iterator[None]:
    """Inside the block, run the last transformer block's MLP only at ``wanted`` tokens: no later layer mixes tokens.

    Most tokens of a prompt are only needed as keys and values; under a reward model so are all tokens but the last.

    Args:
        backbone: a transformer whose last ModuleList is its blocks; unchanged if the blocks have no ``mlp``.
        wanted: (k,) indices of tokens of the single sequence, in any order; repeats are allowed.
    """
    blocks = [child for child in backbone.children() if isinstance(child, nn.ModuleList)]
    mlp = getattr(blocks[-1][-1], "mlp", None) if blocks else None
    if mlp is None:
        yield
        return
    places = wanted.unique()
    shape = torch.Size()

    def choose(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        nonlocal shape
        shape = inputs[0].shape
        return (inputs[0].index_select(1, places), *inputs[1:])

    def put_back(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        return output.new_zeros(shape).index_copy(1, places, output)

    hooks = mlp.register_forward_pre_hook(choose), mlp.register_forward_hook(put_back)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()

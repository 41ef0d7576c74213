"""Run a model on rows of tokens without padding, and on each prefix that rows have in common once.

Prompts and answers of different lengths leave much of a padded batch empty. Here all distinct tokens stand in one sequence
(`kochat.nn.layouts`) that embeddings, projections and norms run on; attention alone puts the rows together again
(`kochat.nn.attention`). The numbers, gradients too, are those of the padded pass, to rounding.
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
    """Return rows that are run without padding, or as they stand.

    Args:
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens, which stand together in each row.
        unpad: run real tokens alone, and prefixes that rows share once; the numbers are the same, to rounding.
    """
    return UnpaddedRows(sequences, mask) if unpad else PaddedRows(sequences, mask)


class UnpaddedRows:
    """Rows that are run without padding; the layout is made once and serves every role.

    A model that does not support it runs the padded rows, with one warning.

    Args:
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens, which stand together in each row.
    """

    def __init__(self, sequences: torch.Tensor, mask: torch.Tensor) -> None:
        self.sequences, self.mask = sequences, mask

    @cached_property
    def layout(self) -> Layout:
        """Return how the tokens and the rows belong together."""
        return Layout(self.sequences, self.mask)

    def states(self, role: Role, where: torch.Tensor) -> torch.Tensor:
        """Return a role's last hidden states at ``where``; see `Rows.states`."""
        if obstacle := _obstacle(role):
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
                ),  # of four dimensions: transformers makes no n x n mask
                use_cache=False,
                layout=layout,
            )
        return hidden[0].index_select(0, slots)


def supports_unpadding(role: Role) -> bool:
    """Tell whether `UnpaddedRows` runs a role without padding."""
    return not _obstacle(role)


def _obstacle(role: Role) -> str:
    """Return why a role's model cannot be run without padding; empty where it can."""
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
    """Run the block with the last transformer block's MLP at some tokens alone: nothing after it mixes tokens.

    Most of a prompt's tokens, and all of an answer's but one under a reward model, only serve as keys and values.

    Args:
        backbone: a transformer whose last list of modules are its blocks; one whose blocks have no ``mlp`` is left alone.
        wanted: (k,) tokens of a batch of one sequence, in any order, several times too.
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

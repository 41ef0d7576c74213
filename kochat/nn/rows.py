"""Rows of token ids for a forward pass: one interface for padded and unpadded rows."""

from __future__ import annotations

from typing import Protocol

import torch

from kochat.nn.roles import Role


class Rows(Protocol):
    """Rows of tokens on which any role can run.

    Attributes:
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens, which are contiguous in each row.
    """

    sequences: torch.Tensor
    mask: torch.Tensor

    def states(self, role: Role, where: torch.Tensor) -> torch.Tensor:
        """Return the hidden states of a role's last layer at some of the real tokens.

        Args:
            role: any role.
            where: (b, t) bool, True on the k wanted tokens, which must be real tokens.

        Returns:
            (k, hidden), in the order of the rows.
        """
        ...


class PaddedRows:
    """Rows that run with their padding: the simple implementation."""

    def __init__(self, sequences: torch.Tensor, mask: torch.Tensor) -> None:
        self.sequences, self.mask = sequences, mask

    def states(self, role: Role, where: torch.Tensor) -> torch.Tensor:
        """Return a role's last hidden states at ``where``; see `Rows.states`."""
        return role.hidden(self.sequences, self.mask)[where]


def last_scores(role: Role, rows: Rows) -> torch.Tensor:
    """Return a value role's scalar at each row's last real token, (b,) float32."""
    columns = torch.arange(rows.mask.shape[1], device=rows.mask.device)
    last = (rows.mask * columns).argmax(dim=1, keepdim=True)
    return role.project(rows.states(role, columns == last))

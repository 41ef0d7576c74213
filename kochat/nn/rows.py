"""Rows of token ids, laid out for a forward pass: one interface for the padded path and the one without padding."""

from __future__ import annotations

from typing import Protocol

import torch

from kochat.nn.roles import Role


class Rows(Protocol):
    """Rows of tokens that any role can be run on.

    Attributes:
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens, which stand together in each row.
    """

    sequences: torch.Tensor
    mask: torch.Tensor

    def states(self, role: Role, where: torch.Tensor) -> torch.Tensor:
        """Return a role's last hidden states at some of the real tokens.

        Args:
            role: any role.
            where: (b, t) bool, True on the k tokens that are wanted, all of them real.

        Returns:
            (k, hidden), in the order of the rows.
        """
        ...


class PaddedRows:
    """Rows that are run as they stand, padding included: the plain path."""

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

"""State that the roles on one model share, besides its weights."""

from __future__ import annotations

import warnings

from torch import nn

from kochat.nn.adapters import AdapterSwitch
from kochat.nn.precision import CastCopy


class HostState:
    """State of one model in memory, shared by all roles on it.

    Attributes:
        model: the model.
        adapters: switches the active adapter.
        output: copy of its output embedding in the dtype of the matrix product.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.adapters = AdapterSwitch(model)
        self.output = CastCopy()
        self._told: set[str] = set()

    def warn_once(self, message: str) -> None:
        """Give a warning about the model, each message only once."""
        if message not in self._told:
            self._told.add(message)
            warnings.warn(message, stacklevel=3)

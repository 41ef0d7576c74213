"""What the roles on one model share besides its weights."""

from __future__ import annotations

import warnings

from torch import nn

from kochat.nn.adapters import AdapterSwitch
from kochat.nn.precision import CastCopy


class HostState:
    """What belongs to a model in memory, whichever role on it runs; made with the model and handed to each of its roles.

    Attributes:
        model: the model.
        adapters: makes one of its adapters the active one.
        output: its output embedding in the type that it is multiplied in.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.adapters = AdapterSwitch(model)
        self.output = CastCopy()
        self._told: set[str] = set()

    def warn_once(self, message: str) -> None:
        """Warn about the model, each thing once."""
        if message not in self._told:
            self._told.add(message)
            warnings.warn(message, stacklevel=3)

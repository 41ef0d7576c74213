"""Report memory: of a stage's models before training, and of a run at its end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from kochat.nn.memory import memory_table
from kochat.nn.roles import Role


def say_memory(trainer: L.Trainer, name: str, roles: Sequence[Role]) -> None:
    """Print `memory_table` on stderr (bytes in MiB), and write it to TensorBoard as the text ``name``."""
    table = memory_table(roles)
    if trainer.is_global_zero:
        sys.stderr.write(f"kochat: models in memory\n{table}\n")
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(name, table)


def peak_memory() -> dict[str, float]:
    """Return the most memory that this process has used so far, in MiB: ``process``, and ``cuda`` where a GPU was used.

    Windows does not tell the first.
    """
    found = {}
    if sys.platform != "win32":
        resource = import_module("resource")  # is missing on Windows
        unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
        found["process"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["cuda"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return found

"""Report the memory of a stage's models before training."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import lightning as L
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

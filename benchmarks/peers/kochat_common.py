"""What kochat's runners share: a Trainer that does nothing but train, and a meter around its steps."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import lightning as L
import torch
import transformers

from benchmarks.peers.measure import Meter
from benchmarks.peers.settings import SEED, Run


class Metering(L.Callback):
    """Measure from the start of the first training step to the end of the last."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start at the first batch."""
        if trainer.global_step == 0 and batch_idx == 0 and trainer.current_epoch == 0:
            self.meter.start()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop when the last step is done."""
        self.meter.stop()


def quiet() -> None:
    """One thread, one seed, no chatter on the terminal."""
    torch.set_num_threads(1)
    L.seed_everything(SEED, verbose=False)
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def trainer_for(run: Run, **options: Any) -> L.Trainer:
    """Return a Trainer without logging, checkpoints, validation and progress bar."""
    defaults = {
        "accelerator": "cpu",
        "devices": 1,
        "precision": "bf16-mixed" if run.variant == "bf16" else "32-true",
        "limit_train_batches": run.steps,
        "max_epochs": 1,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return L.Trainer(**defaults | options)


def fit(module: L.LightningModule, data: L.LightningDataModule, meter: Meter, run: Run, **options: Any) -> None:
    """Train for the run's steps under the meter."""
    trainer_for(run, callbacks=[Metering(meter)], **options).fit(module, datamodule=data)

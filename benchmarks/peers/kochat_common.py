"""What kochat's runners share: a Trainer that does nothing but train, and a meter around its steps."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import lightning as L
import torch
import transformers

from benchmarks.peers.lengths import LengthForcer
from benchmarks.peers.measure import Meter
from benchmarks.peers.settings import LORA_ALPHA, LORA_RANK, LORA_TARGETS, SEED, Run
from kochat.data.datamodule import StageDataModule
from kochat.engine.stage_module import StageModule
from kochat.functional import token_logprobs
from kochat.nn.adapters import LoraSettings


class Metering(L.Callback):
    """Measure from the start of the first training step to the end of the last."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start at the first batch."""
        if trainer.global_step == 0 and batch_idx == 0 and trainer.current_epoch == 0:
            self.meter.start()

    def on_test_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Start at the first batch."""
        if batch_idx == 0:
            self.meter.start()

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop when all answers are scored and written."""
        self.meter.stop()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop when the last step is done."""
        self.meter.stop()


def begin(run: Run) -> None:
    """Replace the run's attributes in kochat; use one thread and one seed, and keep the terminal quiet."""
    replace_attributes(run.attributes)
    torch.set_num_threads(1)
    L.seed_everything(SEED, verbose=False)
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def replace_attributes(attributes: Iterable[tuple[str, str, Any]]) -> None:
    """Replace attributes of modules, also where other modules of kochat's have imported them.

    Args:
        attributes: (module path, attribute, value); a value "package.module:name" stands for that object.
    """
    for path, name, value in attributes:
        if isinstance(value, str) and ":" in value:
            source, _, its_name = value.partition(":")
            value = getattr(import_module(source), its_name)
        before = getattr(import_module(path), name)
        for loaded in [module for key, module in sys.modules.items() if key.split(".")[0] == "kochat"]:
            if vars(loaded).get(name) is before:
                setattr(loaded, name, value)


def rank() -> int:
    """Return this process's rank; Lightning tells those that it starts by a variable."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def trainer_for(run: Run, **options: Any) -> L.Trainer:
    """Return a Trainer without logging, checkpoints, validation and progress bar."""
    defaults = {
        "accelerator": "cpu",
        "devices": run.ranks,
        "strategy": "ddp" if run.ranks > 1 else "auto",
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


def fit(module: StageModule, data: StageDataModule, meter: Meter, run: Run, **options: Any) -> None:
    """Train for the run's steps under the meter."""
    module.connect(data)
    trainer_for(run, callbacks=[Metering(meter)], **options).fit(module, datamodule=data)


def adapter(run: Run) -> LoraSettings:
    """Return the adapter of a run, or none for full fine-tuning."""
    return (
        LoraSettings(LORA_RANK, LORA_ALPHA / LORA_RANK, list(LORA_TARGETS)) if run.tuning == "lora" else LoraSettings(0)
    )


def force_lengths(forcer: LengthForcer, eos_id: int) -> None:
    """Make `draw` end rows where the table says so and nowhere else; log-probabilities stay those of the token taken."""
    module = import_module("kochat.nn.decoding")
    draw = module.draw

    def forced(logits, temperature, generator):
        token, logprob = draw(logits, temperature, generator)
        if not forcer.running:  # the checks before training draw freely
            return token, logprob
        ends = forcer.ends(forcer.still_there(len(token)))
        wrong = ends != (token == eos_id)
        if wrong.any():
            token = torch.where(ends, eos_id, torch.where(token == eos_id, eos_id + 4, token))
            logprob[wrong] = token_logprobs(logits[wrong] / (temperature or 1.0), token[wrong])
        return token, logprob

    module.draw = forced

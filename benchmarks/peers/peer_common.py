"""What the peers' runners share; needs neither kochat nor TRL."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedTokenizerFast, TrainerCallback

from benchmarks.peers.measure import Meter
from benchmarks.peers.settings import SEED


class Metering(TrainerCallback):
    """Measure from the start of training, all models loaded, to its end."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start."""
        self.meter.start()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop."""
        self.meter.stop()


def quiet() -> None:
    """One thread, one seed, no chatter on the terminal."""
    torch.set_num_threads(1)
    transformers.set_seed(SEED)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def load_tokenizer(folder: Path, side: str) -> PreTrainedTokenizerFast:
    """Load a workload's tokenizer; it has a padding token of its own, which TRL's masks need."""
    return PreTrainedTokenizerFast.from_pretrained(str(folder), padding_side=side)


def common_arguments(folder: str) -> dict[str, Any]:
    """Return what every Trainer is given: float32 on the CPU, and nothing done but training."""
    return {
        "output_dir": folder,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "save_strategy": "no",
        "eval_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "seed": SEED,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
    }

"""What the peers' runners share; needs neither kochat nor TRL."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig
from transformers import GenerationMixin, LogitsProcessor, PreTrainedTokenizerFast, TrainerCallback

from benchmarks.peers import settings
from benchmarks.peers.lengths import LengthForcer
from benchmarks.peers.measure import Meter
from benchmarks.peers.settings import SEED, Run


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


def schedule(run: Run) -> dict[str, Any]:
    """Return what SFT and the reward model share with kochat: steps, rate, warm-up, cosine, clipping."""
    return {
        "max_steps": run.steps,
        "learning_rate": settings.LEARNING_RATE,
        "warmup_steps": 0.03,
        "lr_scheduler_type": "cosine",
        "weight_decay": 0.0,
        "max_grad_norm": settings.GRADIENT_CLIP,
    }


def lora(task: str) -> LoraConfig:
    """Return the adapter that every trained model gets."""
    return LoraConfig(
        r=settings.LORA_RANK,
        lora_alpha=settings.LORA_ALPHA,
        lora_dropout=0.0,
        target_modules=list(settings.LORA_TARGETS),
        fan_in_fan_out=True,
        task_type=task,
    )


class ForcedLengths(LogitsProcessor):
    """Allows EOS alone where a row must end, and everything but EOS and the padding token before.

    Random weights draw the padding token too, which TRL would then take for padding.
    """

    def __init__(self, forcer: LengthForcer, eos_id: int, pad_id: int) -> None:
        self.forcer, self.eos_id, self.pad_id = forcer, eos_id, pad_id

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return (b, vocab) logits with what is forbidden at -inf."""
        ends = self.forcer.ends(torch.arange(len(scores)))
        scores[~ends, self.eos_id] = scores[~ends, self.pad_id] = float("-inf")
        if ends.any():
            kept = scores[ends, self.eos_id]
            scores[ends] = float("-inf")
            scores[ends, self.eos_id] = kept
        return scores


def force_lengths(forcer: LengthForcer, eos_id: int, pad_id: int) -> None:
    """Append the processor to those of every `generate`."""
    original = GenerationMixin._get_logits_processor

    def extended(self, *args, **kwargs):
        processors = original(self, *args, **kwargs)
        forcer.begin()
        processors.append(ForcedLengths(forcer, eos_id, pad_id))
        return processors

    GenerationMixin._get_logits_processor = extended

"""The options of a reward model's training."""

from __future__ import annotations

from dataclasses import dataclass, field

from kochat.config_types import ModelSource
from kochat.engine.common_options import AdamWOptions
from kochat.engine.option_fields import weight
from kochat.nn.adapters import LoraSettings


@dataclass(kw_only=True)
class RewardOptions(AdamWOptions):
    """What is trained, and how.

    Args:
        base: the base language model: a directory, a run name or a hub id.
        lora: the adapter; rank 0 trains all weights. The head is always trained.
        margin: by how much a better answer's score must lead before its loss falls under log 2.
        head_learning_rate: the head's own peak rate, which starts from random weights; null takes learning_rate.
        unpad: run the model on real tokens alone, and once on the prompt that a record's completions share; false pads every
            completion to the longest. Loss and gradient are the same (with LoRA's dropout a shared prefix has one mask).
    """

    base: ModelSource = ModelSource("skt/kogpt2-base-v2")
    lora: LoraSettings = field(default_factory=LoraSettings)
    margin: float = weight(0.0)
    head_learning_rate: float | None = weight(None)
    unpad: bool = True

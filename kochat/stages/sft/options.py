"""The options of supervised fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass, field

from kochat.config_types import ModelSource
from kochat.engine.common_options import AdamWOptions, AnswerOptions
from kochat.nn.adapters import LoraSettings


@dataclass(kw_only=True)
class SFTOptions(AdamWOptions, AnswerOptions):
    """What is trained, and how.

    Args:
        base: the base language model: a directory, a run name or a hub id.
        lora: the adapter; rank 0 trains all weights.
        unpad: run the model without padding, and only once on a prefix that examples share; false pads every example to
            the longest. Loss and gradient are the same, except that with LoRA dropout a shared prefix has one dropout
            mask.
    """

    base: ModelSource = ModelSource("skt/kogpt2-base-v2")
    lora: LoraSettings = field(default_factory=LoraSettings)
    unpad: bool = True

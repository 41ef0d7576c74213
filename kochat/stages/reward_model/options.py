"""The options of a reward model's training."""

from __future__ import annotations

from dataclasses import dataclass, field

from kochat.config_types import ModelSource
from kochat.engine.common_options import AdamWOptions
from kochat.nn.adapters import LoraSettings
from kochat.option_fields import weight


@dataclass(kw_only=True)
class RewardOptions(AdamWOptions):
    """What is trained, and how.

    Args:
        base: the base language model: a directory, a run name or a hub id.
        lora: the adapter; rank 0 trains all weights. The head is always trained.
        margin: score difference at which the loss of a pair is log 2; 0 is the usual ranking loss.
        head_learning_rate: peak rate of the head, which starts from random weights; null takes learning_rate.
        unpad: run the model without padding, and only once on the prompt that a record's completions share; false pads
            every completion to the longest. Loss and gradient are the same, except that with LoRA dropout a shared
            prefix has one dropout mask.
    """

    base: ModelSource = ModelSource("skt/kogpt2-base-v2")
    lora: LoraSettings = field(default_factory=LoraSettings)
    margin: float = weight(0.0)
    head_learning_rate: float | None = weight(None)
    unpad: bool = True

"""Supervised fine-tuning: learn to answer prompts as the demonstrations do."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from kochat.config_types import ModelSource
from kochat.engine.inputs import model_folder
from kochat.engine.language_modelling import LanguageModelModule
from kochat.engine.stage_module import base_of
from kochat.nn.adapters import LoraSettings
from kochat.nn.exports import export_info, write_export
from kochat.nn.role_loading import new_role


class SFTModule(LanguageModelModule):
    """Fine-tune a base model on {prompt, completion}; the loss falls on completion and EOS alone.

    Args:
        base: the base language model: a directory, a run name or a hub id.
        lora: the adapter; rank 0 trains all weights.
        learning_rate: AdamW's peak rate.
        weight_decay: decoupled weight decay.
        warmup: share of the run that the rate rises over.
        max_new_tokens: length limit of answers, in tokens.
        stop_tokens: tokens besides EOS that end an answer, as they stand in the tokenizer's vocabulary; null takes the
            base's own, if it is an export.
        packing: run the model on real tokens alone, and on prefixes that examples share once; false pads every example to the
            longest. Loss and gradient are the same (with LoRA's dropout a shared prefix has one mask).
    """

    stage: ClassVar[str] = "sft"

    def __init__(
        self,
        base: ModelSource = ModelSource("skt/kogpt2-base-v2"),  # noqa: B008 - a str, never changed
        lora: LoraSettings = LoraSettings(),  # noqa: B008 - jsonargparse shows a dataclass default; it is never changed
        learning_rate: float = 5e-5,
        weight_decay: float = 0.0,
        warmup: float = 0.03,
        max_new_tokens: int = 128,
        stop_tokens: list[str] | None = None,
        packing: bool = True,
    ) -> None:
        super().__init__(learning_rate, weight_decay, warmup, max_new_tokens, stop_tokens, packing)
        self.base = base
        self.lora = lora

    def sources(self) -> dict[str, str]:
        """Name the base model."""
        return {"model.base": self.base}

    def configure_model(self) -> None:
        """Load the base and put the adapter on it."""
        if self._roles or self.load_trained("policy"):
            return
        self.adopt(new_role("policy", model_folder("model.base", self.base), self.lora))

    def export(self, folder: Path) -> None:
        """Write a whole causal LM (rank 0) or a PEFT adapter."""
        role = self.role("policy")
        base = base_of(model_folder("model.base", self.base), self.base)
        info = export_info(self.stage, base, role.base_digest, self.tokenizer, stop_tokens=self.stop_tokens)
        write_export(role, self.tokenizer, folder, info)


class BaselineModule(SFTModule):
    """The base model as it is, answering through the same template: nothing is trained.

    Args:
        base: the base language model: a directory, a run name or a hub id.
        max_new_tokens: length limit of answers, in tokens.
        stop_tokens: tokens besides EOS that end an answer, as they stand in the tokenizer's vocabulary; null takes the
            base's own, if it is an export.
    """

    stage: ClassVar[str] = "baseline"

    def __init__(
        self,
        base: ModelSource = ModelSource("skt/kogpt2-base-v2"),  # noqa: B008 - a str, never changed
        max_new_tokens: int = 128,
        stop_tokens: list[str] | None = None,
    ) -> None:
        super().__init__(base=base, max_new_tokens=max_new_tokens, stop_tokens=stop_tokens)

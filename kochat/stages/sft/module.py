"""Supervised fine-tuning: learn to answer prompts as the demonstrations do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from kochat.engine.language_model_module import LanguageModelModule
from kochat.engine.policy_export import write_policy
from kochat.engine.stage import Stage
from kochat.nn.role_loading import new_role
from kochat.stages.sft import STAGE
from kochat.stages.sft.options import SFTOptions


class SFTModule(LanguageModelModule):
    """Fine-tune a base model on {prompt, completion}; the loss is computed on completion and EOS only.

    Args:
        options: the fields of `SFTOptions`, as keywords.
    """

    stage: ClassVar[Stage] = STAGE

    def __init__(self, **options: Any) -> None:
        self.options = SFTOptions(**options)
        super().__init__(self.options, self.options, unpad=self.options.unpad)

    def sources(self) -> dict[str, str]:
        """Name the base model."""
        return {"model.base": self.options.base}

    def configure_model(self) -> None:
        """Load the base and add the adapter."""
        if not self.configured and not self.load_trained("policy"):
            base = self.inputs.folder("model.base", self.options.base)
            self.adopt(new_role("policy", base, self.options.lora))

    def export(self, folder: Path) -> None:
        """Write a whole causal LM (rank 0) or a PEFT adapter."""
        write_policy(self, "model.base", self.options.base, folder)

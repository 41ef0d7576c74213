"""The baseline: the untrained base model answers prompts with the same template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from kochat.config_types import ModelSource
from kochat.engine.answering import Answering
from kochat.engine.common_options import AnswerOptions
from kochat.engine.stage import Stage
from kochat.engine.stage_module import StageModule
from kochat.nn.role_loading import HostPool
from kochat.stages.baseline import STAGE


@dataclass(kw_only=True)
class BaselineOptions(AnswerOptions):
    """The base model that answers.

    Args:
        base: the base language model: a directory, a run name or a hub id.
    """

    base: ModelSource = ModelSource("skt/kogpt2-base-v2")


class BaselineModule(StageModule):
    """Answer with a base model, without training it.

    Args:
        options: the fields of `BaselineOptions`, as keywords.
    """

    stage: ClassVar[Stage] = STAGE

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = BaselineOptions(**options)
        self.answering = Answering(self, self.options)

    def sources(self) -> dict[str, str]:
        """Name the base model."""
        return {"model.base": self.options.base}

    def configure_model(self) -> None:
        """Load the base."""
        if not self.configured:
            self.adopt(HostPool().load("policy", self.inputs.folder("model.base", self.options.base)))
            self.requires_grad_(False)

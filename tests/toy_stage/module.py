"""The toy's module: supervised fine-tuning under another name."""

from typing import ClassVar

from kochat.engine.stage import Stage
from kochat.stages.sft.module import SFTModule
from tests.toy_stage import STAGE


class ToyModule(SFTModule):
    """Fine-tune a base model, as a stage of its own."""

    stage: ClassVar[Stage] = STAGE

"""Pretraining: train a small base model from scratch, for users without a pretrained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from kochat.engine.language_model_module import LanguageModelModule
from kochat.engine.optimizers import MuonWithAdamW, scheduled
from kochat.engine.stage import Stage
from kochat.nn.backbones import small_gpt2, weights_digest
from kochat.nn.exports import export_info, write_export
from kochat.nn.role_loading import HostPool
from kochat.nn.roles import Role
from kochat.nn.tokenizers import train_tokenizer
from kochat.stages.pretrain import STAGE
from kochat.stages.pretrain.data import CorpusDataModule
from kochat.stages.pretrain.options import PretrainOptions


class PretrainModule(LanguageModelModule):
    """Train a small GPT-2 from scratch on a corpus, or a given language model further.

    Args:
        options: the fields of `PretrainOptions`, as keywords.
    """

    stage: ClassVar[Stage] = STAGE

    def __init__(self, **options: Any) -> None:
        self.options = PretrainOptions(**options)
        super().__init__(
            self.options, self.options, unpad=False, rates=("matrix_learning_rate", "learning_rate")
        )  # blocks are full

    def sources(self) -> dict[str, str]:
        """Name the model that is trained further, or the tokenizer's source, if there is one."""
        named = {"model.base": self.options.base, "model.tokenizer_source": self.options.tokenizer_source}
        return {field: source for field, source in named.items() if source}

    def connect(self, data: CorpusDataModule) -> None:  # type: ignore[override]  # the only data with a corpus
        """Train a tokenizer on the corpus if none is given (the same on every rank), then join stage and data."""
        if self._tokenizer is None and self.start_folder() is None:
            data.check_files()
            self._tokenizer = train_tokenizer(data.texts(), self.options.vocab_size)
        super().connect(data)

    def configure_model(self) -> None:
        """Load the model that is trained further, or build one with random weights."""
        if self.configured or self.load_trained("policy"):
            return
        if self.options.base:
            self.adopt(HostPool().load("policy", self.inputs.folder("model.base", self.options.base)))
            self.requires_grad_(True)
            return
        tokenizer, size = self.tokenizer, self.options.size
        model = small_gpt2(
            max(tokenizer.get_vocab().values()) + 1,
            tokenizer.eos_token_id,
            tokenizer.pad_token_id,
            size.layers,
            size.hidden,
            size.heads,
            size.positions,
        )
        self.adopt(Role("policy", model))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return Muon for the blocks' matrices and AdamW for the other parameters."""
        options = self.options
        named = [(name, parameter) for name, parameter in self.named_parameters() if parameter.requires_grad]
        optimizer = MuonWithAdamW(named, options.learning_rate, options.matrix_learning_rate, options.weight_decay)
        return scheduled(self.trainer, optimizer, options.warmup)

    def export(self, folder: Path) -> None:
        """Write the whole causal LM."""
        role = self.role("policy")
        info = export_info(self.stage.name, "", weights_digest(role.host), self.tokenizer)
        write_export(role, self.tokenizer, folder, info)

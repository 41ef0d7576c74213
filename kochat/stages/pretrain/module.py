"""Pretraining: a small base from scratch, for where no pretrained model is at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from transformers import PreTrainedTokenizerFast

from kochat.config_types import ModelSource
from kochat.engine.inputs import model_folder
from kochat.engine.language_modelling import LanguageModelModule
from kochat.engine.optimizers import MuonWithAdamW
from kochat.nn.backbones import small_gpt2, weights_digest
from kochat.nn.exports import export_info, write_export
from kochat.nn.roles import Role
from kochat.nn.tokenizers import load_tokenizer, train_tokenizer


@dataclass
class GPT2Size:
    """The shape of a GPT-2.

    Args:
        layers: transformer blocks.
        hidden: width.
        heads: attention heads; must divide hidden.
        positions: longest sequence, in tokens.
    """

    layers: int = 3
    hidden: int = 192
    heads: int = 6
    positions: int = 256


class PretrainModule(LanguageModelModule):
    """Train a small GPT-2 from scratch on a corpus.

    Args:
        size: the model's shape.
        tokenizer_source: where the tokenizer comes from (a directory, run name or hub id); null trains one on the corpus.
        vocab_size: tokens of a tokenizer trained here.
        learning_rate: peak rate of AdamW, which trains embeddings, biases and norms.
        matrix_learning_rate: peak rate of Muon, which trains the blocks' matrices.
        weight_decay: decoupled weight decay.
        warmup: share of the run that the rate rises over.
        max_new_tokens: length limit of answers, in tokens.
    """

    stage: ClassVar[str] = "pretrain"

    def __init__(
        self,
        size: GPT2Size = GPT2Size(),  # noqa: B008 - jsonargparse shows a dataclass default; it is never changed
        tokenizer_source: ModelSource | None = None,
        vocab_size: int = 4000,
        learning_rate: float = 2e-3,
        matrix_learning_rate: float = 2e-2,
        weight_decay: float = 0.1,
        warmup: float = 0.03,
        max_new_tokens: int = 48,
    ) -> None:
        super().__init__(learning_rate, weight_decay, warmup, max_new_tokens, packing=False)  # blocks are full
        self.size = size
        self.tokenizer_source = tokenizer_source
        self.vocab_size = vocab_size
        self.matrix_learning_rate = matrix_learning_rate

    def sources(self) -> dict[str, str]:
        """Name the tokenizer's source, when there is one."""
        return {"model.tokenizer_source": self.tokenizer_source} if self.tokenizer_source else {}

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer, trained on the corpus on first use where none is given (the same on every rank)."""
        if self._tokenizer is None:
            if self.trained_export is not None:
                self._tokenizer = load_tokenizer(self.trained_export)
            elif self.tokenizer_source is not None:
                self._tokenizer = load_tokenizer(model_folder("model.tokenizer_source", self.tokenizer_source))
            else:
                self._tokenizer = train_tokenizer(self.trainer.datamodule.texts(), self.vocab_size)  # type: ignore[attr-defined]
        return self._tokenizer

    def configure_model(self) -> None:
        """Build the model with random weights."""
        if self._roles or self.load_trained("policy"):
            return
        tokenizer, size = self.tokenizer, self.size
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
        """Return Muon on the blocks' matrices and AdamW on the rest."""
        named = [(name, parameter) for name, parameter in self.named_parameters() if parameter.requires_grad]
        optimizer = MuonWithAdamW(named, self.learning_rate, self.matrix_learning_rate, self.weight_decay)
        return self.scheduled(optimizer, self.warmup)

    def export(self, folder: Path) -> None:
        """Write the whole causal LM."""
        role = self.role("policy")
        info = export_info(self.stage, "", weights_digest(role.host), self.tokenizer)
        write_export(role, self.tokenizer, folder, info)

"""The options of pretraining."""

from __future__ import annotations

from dataclasses import dataclass, field

from kochat.config_types import ModelSource
from kochat.engine.common_options import AdamWOptions, AnswerOptions
from kochat.errors import UserError
from kochat.option_fields import Options, count, weight


@dataclass
class GPT2Size(Options):
    """The shape of a GPT-2.

    Args:
        layers: transformer blocks.
        hidden: width.
        heads: attention heads; must divide hidden.
        positions: longest sequence, in tokens.
    """

    layers: int = count(3)
    hidden: int = count(192)
    heads: int = count(6)
    positions: int = count(256)

    @classmethod
    def group(cls) -> str:
        """Return the key under which a config holds the shape."""
        return "model.size"

    def check(self) -> None:
        """Raise UserError unless the heads divide the width."""
        super().check()
        if self.hidden % self.heads:
            raise UserError(
                f"model.size.heads={self.heads} does not divide model.size.hidden={self.hidden}; give a divisor"
            )


@dataclass(kw_only=True)
class PretrainOptions(AdamWOptions, AnswerOptions):
    """Start, size and training of the model.

    Args:
        base: a language model whose pretraining goes on here: a directory, a run name or a hub id; its tokenizer and its shape are
            kept. Null starts from random weights.
        size: the shape of a new model.
        tokenizer_source: where the tokenizer comes from (a directory, run name or hub id); null trains one on the corpus.
        vocab_size: vocabulary size of a tokenizer that is trained here.
        learning_rate: peak rate of AdamW, which trains embeddings, biases and norms.
        matrix_learning_rate: peak rate of Muon, which trains the blocks' matrices.
        weight_decay: decoupled weight decay of the matrices.
        max_new_tokens: length limit of answers, in tokens.
    """

    base: ModelSource | None = None
    size: GPT2Size = field(default_factory=GPT2Size)
    tokenizer_source: ModelSource | None = None
    vocab_size: int = count(4000)
    learning_rate: float = weight(2e-3)
    matrix_learning_rate: float = weight(2e-2)
    weight_decay: float = weight(0.1)
    max_new_tokens: int = count(48, "leaves no answer; give 1 or more")

    def check(self) -> None:
        """Refuse a tokenizer for a model that has one."""
        super().check()
        if self.base and self.tokenizer_source:
            raise UserError("model.tokenizer_source: model.base brings its own tokenizer; leave one of the two out")

"""Answer prompts with the policy of a stage: greedily, with the stop tokens that it was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedTokenizerFast

from kochat.data.batches import PromptBatch
from kochat.engine.common_options import AnswerOptions
from kochat.nn.decoding import GenerationSettings, decode, generate
from kochat.nn.exports import read_info
from kochat.nn.tokenizers import token_ids

if TYPE_CHECKING:
    from kochat.engine.stage_module import StageModule


@dataclass  # not frozen: Lightning moves what predict returns to the CPU
class AnsweredBatch:
    """Prompts and their answers, one entry per prompt; ``references`` holds None for a prompt without a reference."""

    ids: list[str]
    prompts: list[str]
    references: list[str | None]
    kinds: list[str]
    answers: list[str]


class Answering:
    """How one stage answers prompts.

    Args:
        module: the stage, whose role ``policy`` answers.
        options: the length limit and the stop tokens of its answers.
    """

    def __init__(self, module: StageModule, options: AnswerOptions) -> None:
        self.max_new_tokens = options.max_new_tokens
        self._module = module
        self._given_stop_tokens = options.stop_tokens
        self._stop_ids: tuple[int, ...] | None = None

    @property
    def stop_tokens(self) -> tuple[str, ...]:
        """Return the stop tokens besides EOS: those of the config, else those of the export that the stage starts from."""
        if self._given_stop_tokens is not None:
            return tuple(self._given_stop_tokens)
        folder = self._module.start_folder()
        info = read_info(folder) if folder is not None else None
        return info.stop_tokens if info is not None else ()

    def settings(self, temperature: float = 0.0) -> GenerationSettings:
        """Return the settings of generation; temperature 0 is greedy."""
        tokenizer: PreTrainedTokenizerFast = self._module.tokenizer
        eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
        if self._stop_ids is None:  # looked up once, not for every batch
            self._stop_ids = (eos, *token_ids(tokenizer, self.stop_tokens, "model.stop_tokens"))
        return GenerationSettings(self.max_new_tokens, temperature, self._stop_ids, eos if pad is None else pad)

    @torch.no_grad()
    def answer(self, batch: PromptBatch) -> list[str]:
        """Answer a prompt batch greedily, under the Trainer's precision; one text per prompt."""
        module = self._module
        with module.trainer.precision_plugin.forward_context():
            result = generate(module.role("policy"), batch.input_ids, batch.mask, self.settings())
        return decode(module.tokenizer, result.responses, result.mask)

    def answered(self, batch: PromptBatch) -> AnsweredBatch:
        """Answer a prompt batch greedily; return the answers together with the prompts and references."""
        return AnsweredBatch(batch.ids, batch.prompts, batch.references, batch.kinds, self.answer(batch))

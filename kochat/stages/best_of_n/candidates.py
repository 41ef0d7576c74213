"""Sample n answers to each prompt, and score them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast

from kochat.data.batches import PromptBatch
from kochat.engine.rank_rows import Row
from kochat.nn.decoding import GenerationSettings, decode, generate
from kochat.nn.roles import Role
from kochat.rewards.answer_scores import raw_answer_scores
from kochat.rewards.reward_models import RewardModel


@dataclass(frozen=True)
class Candidates:
    """How answers are sampled and scored.

    Args:
        policy: samples the answers.
        reward_model: scores them.
        tokenizer: turns them into text.
        settings: lengths, temperature and stop tokens.
        n: answers to each prompt.
        unpad: run the reward model without padding.
    """

    policy: Role
    reward_model: RewardModel
    tokenizer: PreTrainedTokenizerFast
    settings: GenerationSettings
    n: int
    unpad: bool = True

    def rows(self, batch: PromptBatch) -> list[Row]:
        """Return a row a prompt: {id, prompt, kind, answers [n], raw_scores [n]}.

        About as many answers are decoded at a time as the batch has prompts. The answers to a prompt depend on its id, not on the
        batch or the ranks.
        """
        size = max(1, len(batch.ids) // self.n)
        parts = [batch.part(slice(start, start + size)) for start in range(0, len(batch.ids), size)]
        return [row for part in parts for row in self._rows_of_part(part)]

    @torch.no_grad()
    def _rows_of_part(self, batch: PromptBatch) -> Iterator[Row]:
        ids, mask = (rows.repeat_interleave(self.n, dim=0) for rows in (batch.input_ids, batch.mask))
        uniforms = uniforms_of(batch.ids, self.n, self.settings.max_new_tokens).to(ids.device)
        drawn = generate(self.policy, ids, mask, self.settings, uniforms=uniforms)
        answers = decode(self.tokenizer, drawn.responses, drawn.mask)
        scores = raw_answer_scores(
            self.reward_model, (ids, mask), drawn, self.settings.eos_id, unpad=self.unpad
        ).tolist()
        for place, (id_, prompt, kind) in enumerate(zip(batch.ids, batch.prompts, batch.kinds, strict=True)):
            own = slice(place * self.n, (place + 1) * self.n)
            yield {"id": id_, "prompt": prompt, "kind": kind, "answers": answers[own], "raw_scores": scores[own]}


def uniforms_of(ids: Sequence[str], n: int, tokens: int) -> torch.Tensor:
    """Return random numbers in [0, 1) for n answers to each prompt, (len(ids) * n, tokens) float64; the id of a prompt is its seed."""
    return torch.cat([torch.rand(n, tokens, dtype=torch.float64, generator=_generator(id_)) for id_ in ids])


def _generator(id_: str) -> torch.Generator:
    digest = hashlib.sha256(id_.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

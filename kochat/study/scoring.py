"""Score every variant's answers with the same judges: the study's reward model, and the oracle where the world's facts are known."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from kochat.data.encoding import encode_completion, encode_prompt
from kochat.nn.exports import read_info
from kochat.nn.role_loading import HostPool
from kochat.nn.rows import last_scores
from kochat.nn.tokenizers import load_tokenizer
from kochat.nn.unpadded import rows_of

SAMPLES, SCORED = "samples.jsonl", "scored.jsonl"
Judge = Callable[[str, str], Any]


class RewardScorer:
    """Score answers with a trained reward model, centred on its held-out demonstrations.

    Args:
        folder: the reward model's export.
        max_length: prompt and answer are cut to this many tokens.
    """

    def __init__(self, folder: Path, max_length: int) -> None:
        self.tokenizer = load_tokenizer(folder)
        self.role = HostPool().load("reward_model", folder, value=True)
        info = read_info(folder)
        self.mean = info.reward_mean or 0.0 if info else 0.0
        self.std = info.reward_std or 1.0 if info else 1.0
        self.max_length = max_length

    def encode(self, prompt: str, answer: str) -> list[int]:
        """Return prompt and answer with EOS, encoded as in training: what is too long loses its end, never EOS."""
        head = encode_prompt(self.tokenizer, prompt, self.max_length - 2)
        return head + encode_completion(self.tokenizer, answer, self.max_length - len(head))

    @torch.no_grad()
    def __call__(self, pairs: Sequence[tuple[str, str]], batch_size: int = 64) -> list[float]:
        """Return the centred score of each (prompt, answer), in units of the held-out spread."""
        rows = [self.encode(prompt, answer) for prompt, answer in pairs]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        scores = [0.0] * len(rows)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            width = max(len(rows[i]) for i in chosen)
            ids = torch.tensor([rows[i] + [0] * (width - len(rows[i])) for i in chosen])
            mask = torch.tensor([[True] * len(rows[i]) + [False] * (width - len(rows[i])) for i in chosen])
            for i, score in zip(chosen, last_scores(self.role, rows_of(ids, mask, unpad=True)).tolist(), strict=True):
                scores[i] = (score - self.mean) / self.std
        return scores


def score_run(run: Path, reward: RewardScorer | None, judge: Judge | None) -> None:
    """Write ``scored.jsonl``: the run's samples with ``reward`` and ``verdict`` among their scores."""
    rows = [json.loads(line) for line in (run / SAMPLES).read_text(encoding="utf-8").strip().split("\n")]
    rewards = reward([(row["prompt"], row["answer"]) for row in rows]) if reward else [None] * len(rows)
    for row, score in zip(rows, rewards, strict=True):
        verdict = judge(row["prompt"], row["answer"]) if judge else None
        row["scores"] = row["scores"] | {"reward": score, "verdict": verdict.value if verdict is not None else None}
    temporary = run / (SCORED + ".tmp")
    temporary.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    os.replace(temporary, run / SCORED)

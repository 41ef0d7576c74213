"""Score the answers of all runs with the study's reward model and, if the facts are known, with the judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from kochat.data.encoding import encode_completion, encode_prompt
from kochat.nn.role_loading import HostPool
from kochat.nn.tokenizers import load_tokenizer
from kochat.nn.unpadded import rows_of
from kochat.rewards.reward_models import export_centring, load_reward_model
from kochat.runs import SAMPLES_FILE, SCORED_FILE
from kochat.storage import read_jsonl, write_jsonl
from kochat.world.judgement import Verdict

FactJudge = Callable[
    [str, str], Verdict | None
]  # (prompt, answer) -> verdict; None if the prompt asks for no known fact


class RewardScorer:
    """Score answers with a trained reward model, as it was trained, and centre the scores on demonstrations.

    Args:
        folder: the reward model's export.
        max_length: prompt and answer are cut to this many tokens.
        unpad: compute rows without padding.

    Raises:
        UserError: kochat trained the reward model without the statistics for centring its scores.
    """

    def __init__(self, folder: Path, max_length: int, *, unpad: bool = True) -> None:
        self.tokenizer = load_tokenizer(folder)
        centring = export_centring("reward_model", folder)
        self.model = load_reward_model(HostPool(), "reward_model", folder, centring)
        self.max_length, self.unpad = max_length, unpad

    def encode(self, prompt: str, answer: str) -> list[int]:
        """Return the token ids of prompt, answer and EOS, as in training; a long answer is cut, EOS is kept."""
        head = encode_prompt(self.tokenizer, prompt, self.max_length - 2)
        return head + encode_completion(self.tokenizer, answer, self.max_length - len(head))

    @torch.no_grad()
    def __call__(self, pairs: Sequence[tuple[str, str]], batch_size: int = 64) -> list[float]:
        """Return the centred score of each (prompt, answer), in standard deviations of held-out scores."""
        rows = [self.encode(prompt, answer) for prompt, answer in pairs]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        scores = [0.0] * len(rows)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            width = max(len(rows[i]) for i in chosen)
            ids = torch.tensor([rows[i] + [0] * (width - len(rows[i])) for i in chosen])
            mask = torch.tensor([[True] * len(rows[i]) + [False] * (width - len(rows[i])) for i in chosen])
            found = self.model.centring(self.model.raw_scores(rows_of(ids, mask, unpad=self.unpad)))
            for i, score in zip(chosen, found.tolist(), strict=True):
                scores[i] = score
        return scores


def score_run(run: Path, reward: RewardScorer | None, judge: FactJudge | None) -> None:
    """Write ``scored.jsonl``: the run's samples with ``reward`` and ``verdict`` among their scores."""
    rows = list(read_jsonl(run / SAMPLES_FILE))
    rewards = reward([(row["prompt"], row["answer"]) for row in rows]) if reward else [None] * len(rows)
    for row, score in zip(rows, rewards, strict=True):
        verdict = judge(row["prompt"], row["answer"]) if judge else None
        row["scores"] = row["scores"] | {"reward": score, "verdict": verdict.value if verdict is not None else None}
    write_jsonl(run / SCORED_FILE, rows)

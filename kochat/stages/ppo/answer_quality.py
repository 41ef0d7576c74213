"""Measure what a reward does not see in answers: whether they repeat themselves, whether they differ, and whether their facts are right.

Where the reward rises and these get worse, the policy has learnt the reward model's weakness instead of the task.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from kochat.world.judgement import Verdict, embedded_judge

NGRAM = 4
JUDGED = {"val_accuracy": Verdict.CORRECT, "val_hallucination": Verdict.WRONG}
Figures = dict[str, tuple[torch.Tensor, int]]  # name -> mean, and the count that weights it against other batches


def answer_health(prompts: Sequence[str], answers: Sequence[str], tokens: torch.Tensor, mask: torch.Tensor) -> Figures:
    """Return the figures of a batch of answers.

    ``val_repetition``: mean share of repeated 4-grams of tokens (seq-rep-4; Welleck et al. 2020, arXiv:1908.04319).
    ``val_distinct``: number of different answers over the number of answers of the batch. ``val_accuracy`` and
    ``val_hallucination``: shares of right and of wrong answers, by the judge of the embedded world, among the prompts whose facts it
    knows; their count is 0 where it knows none.

    Args:
        prompts: the prompts, (b,).
        answers: the answers as text, (b,).
        tokens: the answers' tokens, shape: (b, r).
        mask: 1 at tokens of the answer, shape: (b, r).
    """
    repeated = [repetition(row[own.bool()].tolist()) for row, own in zip(tokens, mask, strict=True)]
    found: Figures = {
        "val_repetition": (torch.tensor(repeated).mean(), len(answers)),
        "val_distinct": (torch.tensor(len(set(answers)) / len(answers)), len(answers)),
    }
    judge = embedded_judge()
    verdicts = [judge(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    judged = [verdict for verdict in verdicts if verdict is not None]
    for name, sought in JUDGED.items():
        found[name] = (torch.tensor(judged.count(sought) / max(1, len(judged))), len(judged))
    return found


def repetition(tokens: Sequence[int]) -> float:
    """Return the share of an answer's 4-grams that came before in it: 0 if all differ or the answer is shorter."""
    ngrams = [tuple(tokens[start : start + NGRAM]) for start in range(len(tokens) - NGRAM + 1)]
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0

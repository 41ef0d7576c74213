"""The rewards of n sampled answers a prompt: their unit and zero, and the reward of the best of k of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from kochat.engine.rank_rows import Row
from kochat.errors import RunError
from kochat.functional import best_of_kl, expected_best
from kochat.report.study_files import FIXED_KIND
from kochat.rewards.centring import Centring
from kochat.rewards.reward_unit import within_prompt_std


def scored_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of test prompts, without the report's fixed prompts; all rows if there are no others."""
    return [row for row in rows if row["kind"] != FIXED_KIND] or list(rows)


def per_prompt_centring(rows: Sequence[Row], centring: Centring) -> Centring:
    """Return a centring with the same zero, whose unit is the spread of the rows' answers to one prompt.

    Raises:
        RunError: the spread is 0 or not finite.
    """
    scores = torch.tensor([row["raw_scores"] for row in rows], dtype=torch.float64)
    unit = within_prompt_std(scores) if scores.isfinite().all() else math.nan
    if not 0 < unit < math.inf:
        raise RunError(
            f"model.reward_unit=per_prompt: the scores of the answers to one prompt have a spread of {unit:g}, which cannot be a "
            "unit; train the reward model longer, raise model.temperature, or give reward_unit held_out"
        )
    return Centring(centring.mean, unit)


def sizes(n: int) -> list[int]:
    """Return the values of k that are logged and shown: 1, 2, 4 and so on up to n, and n."""
    return sorted({2**power for power in range(n.bit_length())} | {n})


def curve(rewards: Sequence[Sequence[float]]) -> dict[str, float]:
    """Return the mean expected reward of the best of k, and its KL in nats an answer: ``reward_K`` and ``kl_K`` for each k of `sizes`.

    Args:
        rewards: the rewards of n answers to each prompt, (prompts, n).
    """
    table = torch.tensor(rewards, dtype=torch.float64)
    found = {}
    for k in sizes(table.shape[1]):
        found[f"reward_{k}"] = float(expected_best(table, k).mean())
        found[f"kl_{k}"] = best_of_kl(k)
    return found

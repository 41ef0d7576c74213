"""How often a reward model scores the better of two answers to a prompt higher."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kochat.metrics.intervals import Interval, wilson_bounds
from kochat.metrics.pairs import pair_credits

OWN_PROMPT_FLOOR = 0.75  # of `rm/own_prompt_accuracy`; below it, the scores hardly depend on the prompt


def choice_accuracy(
    better: Sequence[float], worse: Sequence[float], prompts: Sequence[str] | None = None
) -> Interval | None:
    """Return the share of pairs whose better answer has the higher score, with its Wilson 95% interval; None for no pair.

    A tie counts half, so a constant score has 0.5, like chance.

    Args:
        better: scores of the better answers, shape: (n,).
        worse: scores of the worse answers, shape: (n,).
        prompts: the pairs' prompts. Pairs of one prompt are not independent, so the number of different prompts is the
            number of trials of the interval. None: every pair is a trial.
    """
    credits = pair_credits(np.asarray(better, dtype=np.float64) - np.asarray(worse, dtype=np.float64))
    if not len(credits):
        return None
    share = float(credits.mean())
    trials = len(credits) if prompts is None else len(set(prompts))
    return Interval(share, *wilson_bounds(share, trials), len(credits))

"""The chance floor of text scores: what the same answers score against the references of other prompts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean

from kochat.report.study_files import Answer
from kochat.report.text_scores import score_texts

DRAWS = 5


def chance_floor(answers: Sequence[Answer], metrics: Sequence[str], seed: int = 0) -> dict[str, float]:
    """Return each metric's mean over `DRAWS` shuffles of the references; empty with fewer than two references.

    No answer keeps its own reference: the references are shifted in a random order of the prompts.

    Args:
        answers: a run's answers.
        metrics: text metrics, such as bleu.
        seed: seed of the shuffles.
    """
    known = [answer for answer in answers if answer.reference is not None]
    if len(known) < 2:
        return {}
    rng, ids = random.Random(seed), [answer.id for answer in known]
    draws = [score_texts(_shuffled(known, rng)) for _ in range(DRAWS)]
    found = {metric: [scores.value(metric, ids) for scores in draws] for metric in metrics}
    return {metric: fmean(value for value in values if value is not None) for metric, values in found.items()}


def _shuffled(answers: Sequence[Answer], rng: random.Random) -> list[Answer]:
    order = rng.sample(list(answers), k=len(answers))
    others = [*order[1:], order[0]]
    return [one.model_copy(update={"reference": other.reference}) for one, other in zip(order, others, strict=True)]

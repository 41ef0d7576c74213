"""One record of numbers per run, computed once: every table, plot and sentence of the report reads the same record.

The seed study prints three different BLEU scores for one PPO model. Here a variant's number has one source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from kochat.metrics.intervals import Interval, mean_interval, paired_interval
from kochat.study.results import Run, StudyResults
from kochat.study.schema import Answer, RankedScores
from kochat.study.text_scores import CORPUS_SCORES, MEAN_SCORES, TextScores, corpus_difference, score_texts
from kochat.text.normalise import display

VERDICTS = ("correct", "abstained", "wrong", "malformed")
GRADES = ("best", "middle", "worst")
_SHARES = {"accuracy": "correct", "hallucination": "wrong", "abstention": "abstained"}


@dataclass(frozen=True)
class Part:
    """The numbers of one run's answers to some of the test prompts. `values` lacks what was not measured."""

    values: Mapping[str, float]
    verdicts: Mapping[str, int]
    n: int

    @property
    def n_judged(self) -> int:
        """The number of answers with a verdict: those to questions that the oracle knows."""
        return sum(self.verdicts.values())


@dataclass(frozen=True)
class VariantRecord:
    """The numbers of one answering run: on the whole test set, by kind of prompt, and what they are made of."""

    whole: Part
    by_kind: Mapping[str, Part]
    per_prompt: Mapping[
        str, Mapping[str, float]
    ]  # metric -> prompt id -> value; means over prompts are the run's numbers
    texts: TextScores

    def get(self, metric: str) -> float | None:
        """Return a metric's value on the whole test set, or None where it was not measured."""
        return self.whole.values.get(metric)

    def difference(self, other: VariantRecord, metric: str) -> Interval | None:
        """Return this run's value minus the other's on shared prompts with its paired interval; None where unmeasured."""
        if metric in CORPUS_SCORES:
            return corpus_difference(metric, self.texts, other.texts)
        if metric not in self.per_prompt:
            return None
        return paired_interval(self.per_prompt[metric], other.per_prompt[metric])


@dataclass(frozen=True)
class RewardRecord:
    """How well one reward model tells better answers from worse ones, on held-out records."""

    means: Mapping[str, float]  # mean score by grade: best, middle, worst
    margin: float  # mean score of best minus mean score of worst
    effect: float | None  # margin over the standard deviation of all scores: free of the scores' scale
    accuracy: Interval  # share of ordered pairs scored in the right order; the interval resamples records
    accuracy_by_id: Mapping[str, float]
    n_pairs: int


@dataclass(frozen=True)
class Records:
    """All records of a study, by run name."""

    variants: Mapping[str, VariantRecord]
    rewards: Mapping[str, RewardRecord]


def make_records(results: StudyResults) -> Records:
    """Compute the record of every finished run that answered prompts or scored preferences."""
    return Records(
        variants={run.name: variant_record(run) for run in results.answering},
        rewards={run.name: reward_record(run.ranked) for run in results.of("rm") if run.ranked},
    )


def variant_record(run: Run) -> VariantRecord:
    """Compute an answering run's record; KL is the run's own last held-out measurement."""
    answers = run.test_answers
    texts = score_texts(answers)
    per_prompt = {metric: texts.means[metric] for metric in MEAN_SCORES}
    per_prompt["reward"] = {row.id: score for row in answers if (score := row.score("reward")) is not None}
    per_prompt["length"] = {row.id: float(len(display(row.answer))) for row in answers}
    judged = [row for row in answers if row.verdict is not None]
    per_prompt |= {share: {row.id: float(row.verdict == word) for row in judged} for share, word in _SHARES.items()}

    whole = _part(answers, per_prompt, texts)
    kl = run.last("ppo/val_kl")
    if kl is not None:
        whole = Part({**whole.values, "kl": kl}, whole.verdicts, whole.n)
    kinds = dict.fromkeys(row.kind for row in answers)
    by_kind = {kind: _part([row for row in answers if row.kind == kind], per_prompt, texts) for kind in kinds}
    return VariantRecord(whole, by_kind, per_prompt, texts)


def reward_record(ranked: Collection[RankedScores]) -> RewardRecord:
    """Compute a reward model's record from its scores (best to worst) of held-out records; a tie counts as wrong.

    ValueError for no records.
    """
    by_id = {row.id: _ordered_share(row.scores) for row in ranked}
    accuracy = mean_interval(list(by_id.values()))
    if accuracy is None:
        raise ValueError("no scored records to judge the reward model by")
    grades = {
        "best": [row.scores[0] for row in ranked],
        "middle": [score for row in ranked for score in row.scores[1:-1]],
        "worst": [row.scores[-1] for row in ranked],
    }
    means = {grade: float(np.mean(scores)) for grade, scores in grades.items() if scores}
    margin = means["best"] - means["worst"]
    spread = float(np.std([score for scores in grades.values() for score in scores]))
    n_pairs = sum(len(row.scores) * (len(row.scores) - 1) // 2 for row in ranked)
    return RewardRecord(means, margin, margin / spread if spread > 0 else None, accuracy, by_id, n_pairs)


def _ordered_share(scores: list[float]) -> float:
    pairs = list(combinations(scores, 2))
    return sum(better > worse for better, worse in pairs) / len(pairs)


def _part(answers: Collection[Answer], per_prompt: Mapping[str, Mapping[str, float]], texts: TextScores) -> Part:
    ids = [row.id for row in answers]
    values = {metric: texts.value(metric, ids) for metric in (*CORPUS_SCORES, *MEAN_SCORES)}
    for metric, by_id in per_prompt.items():
        found = [by_id[key] for key in ids if key in by_id]
        values[metric] = float(np.mean(found)) if found else None
    counted = Counter(row.verdict for row in answers)
    return Part(
        values={metric: value for metric, value in values.items() if value is not None},
        verdicts={verdict: counted[verdict] for verdict in VERDICTS},
        n=len(ids),
    )

"""One record of numbers per run, computed once: every table, plot and sentence of the report reads the same record.

So a model has the same number everywhere. (The study that kochat follows prints three BLEU scores for one PPO model.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from kochat.report.study_files import Answer
from kochat.report.study_results import Run, StudyResults
from kochat.report.text_scores import CORPUS_SCORES, MEAN_SCORES, TextScores, corpus_scores, score_texts
from kochat.statistics.differences import Rows
from kochat.statistics.jackknife import Statistic, ratio
from kochat.text.unicode_form import display
from kochat.world.judgement import Verdict

SHARES = {  # metric -> verdict; the five shares of the judged answers sum to 1
    "accuracy": Verdict.CORRECT.value,
    "unknown": Verdict.UNKNOWN.value,
    "off_the_point": Verdict.OFF_THE_POINT.value,
    "hallucination": Verdict.WRONG.value,
    "malformed": Verdict.MALFORMED.value,
}
VERDICTS = tuple(SHARES.values())
COMPARED = ("reward", *SHARES, "bleu", "rouge_l", "chrf", "length")  # metrics that a contrast can be made for


@dataclass(frozen=True)
class Part:
    """The numbers of one run's answers to some of the test prompts. `values` has only measured metrics."""

    values: Mapping[str, float]
    verdicts: Mapping[str, int]
    n: int

    @property
    def n_judged(self) -> int:
        """The number of answers with a verdict, that is, to questions with known answers."""
        return sum(self.verdicts.values())


@dataclass(frozen=True)
class VariantRecord:
    """The numbers of one run: on the whole test set, by kind of prompt, and per prompt."""

    whole: Part
    by_kind: Mapping[str, Part]
    per_prompt: Mapping[
        str, Mapping[str, float]
    ]  # metric -> prompt id -> value; means over prompts are the run's numbers
    texts: TextScores

    def get(self, metric: str) -> float | None:
        """Return a metric's value on the whole test set, or None if it was not measured."""
        return self.whole.values.get(metric)

    def rows(self, metric: str) -> Rows:
        """Return what :func:`kochat.statistics.differences.compare` needs of a metric: prompt id -> row; empty if not measured."""
        if metric in CORPUS_SCORES:
            return self.texts.counts[metric]
        return {key: np.array([value, 1.0]) for key, value in self.per_prompt.get(metric, {}).items()}


def statistic(metric: str) -> Statistic:
    """Return the function from summed rows of a metric to its value: a mean over prompts, or a score of summed n-gram counts."""
    return partial(corpus_scores, metric) if metric in CORPUS_SCORES else ratio


def cluster(answer: Answer) -> str:
    """Return the cluster of an answer's prompt: its id without the kind of prompt.

    So "usual/capital/프랑스" and "roundabout/capital/프랑스", which ask the same fact, are one cluster.
    """
    return answer.id.removeprefix(f"{answer.kind}/")


def make_records(results: StudyResults) -> dict[str, VariantRecord]:
    """Compute the record of every finished run whose answers are compared: run name -> record."""
    return {run.name: variant_record(run) for run in results.compared}


def variant_record(run: Run) -> VariantRecord:
    """Compute the record of a run that answers; KL is the last value that the run logged on held-out prompts."""
    answers = run.test_answers
    texts = score_texts(answers)
    per_prompt = {metric: texts.means[metric] for metric in MEAN_SCORES}
    per_prompt["reward"] = {row.id: score for row in answers if (score := row.score("reward")) is not None}
    per_prompt["length"] = {row.id: float(len(display(row.answer))) for row in answers}
    judged = [row for row in answers if row.verdict is not None]
    per_prompt |= {share: {row.id: float(row.verdict == word) for row in judged} for share, word in SHARES.items()}

    whole = _part(answers, per_prompt, texts)
    logged = {"kl": run.last(f"{run.stage}/val_kl"), "kl_sequence": run.last(f"{run.stage}/val_kl_sequence")}
    measured = {metric: value for metric, value in logged.items() if value is not None}
    whole = Part({**whole.values, **measured}, whole.verdicts, whole.n)
    kinds = dict.fromkeys(row.kind for row in answers)
    by_kind = {kind: _part([row for row in answers if row.kind == kind], per_prompt, texts) for kind in kinds}
    return VariantRecord(whole, by_kind, per_prompt, texts)


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

"""Compute the numbers of one reward model: how well it orders answers, and how far this can be trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, FiniteFloat, field_validator

from kochat.metrics.choices import choice_accuracy
from kochat.metrics.intervals import Interval
from kochat.metrics.length_effects import answer_length
from kochat.metrics.pair_accuracy import GRADES
from kochat.metrics.pairs import record_accuracy
from kochat.metrics.reward_reliability import RewardQuality, reward_quality
from kochat.report.record_files import parse_record, read_record, read_records
from kochat.report.study_results import Run
from kochat.rewards.centring import Centring, centring_of
from kochat.runs import DONE_FILE, EXPORT_DIR, EXPORT_INFO_FILE, PREFERENCE_SCORES_FILE


class RankedScores(BaseModel):
    """A reward model's scores of one record's three completions, best to worst; the texts may be absent.

    `other_score` is the score of an answer to another prompt; None if the record has none.
    """

    id: str
    prompt: str = ""
    completions: list[str] = Field(default_factory=list)
    scores: list[FiniteFloat] = Field(min_length=3, max_length=3)
    other_score: FiniteFloat | None = None

    @field_validator("completions")
    @classmethod
    def _three_or_none(cls, completions: list[str]) -> list[str]:
        if len(completions) not in (0, 3):
            raise ValueError(f"{len(completions)} completions for three scores")
        return completions


class ExportStatistics(BaseModel):
    """Mean and standard deviation of a reward model's scores, from its export's `kochat.json`."""

    reward_mean: FiniteFloat | None = None
    reward_std: Annotated[FiniteFloat, Field(gt=0)] | None = None


@dataclass(frozen=True)
class RewardRecord:
    """The results of one reward model on held-out records; scores are logits."""

    means: Mapping[str, float]  # mean raw score by grade: best, middle, worst
    centred: (
        Mapping[str, float] | None
    )  # (mean score - export's mean) / export's standard deviation; None if these were not saved
    margin: float  # mean score of best minus mean score of worst
    effect: float | None  # margin / standard deviation of all scores, so that models can be compared
    accuracy: Interval  # share of pairs in the right order; the interval resamples records
    accuracy_by_id: Mapping[str, float]
    quality: RewardQuality
    own_prompt: (
        Interval | None
    )  # how often the best answer scores above an answer to another prompt; None if not scored

    @property
    def n_pairs(self) -> int:
        """The number of ordered pairs."""
        return self.quality.margins.size


def make_reward_records(runs: Sequence[Run]) -> dict[str, RewardRecord]:
    """Compute the record of every run that scored held-out records: run name -> record."""
    ranked = {run.name: ranked_scores(run) for run in runs}
    return {run.name: reward_record(ranked[run.name], read_centring(run)) for run in runs if ranked[run.name]}


def ranked_scores(run: Run) -> list[RankedScores]:
    """Read a run's scores of held-out records; empty if it has none."""
    return read_records(RankedScores, run.home / PREFERENCE_SCORES_FILE)


def read_centring(run: Run) -> Centring | None:
    """Read the centring of a run's scores from its export, else from its logged metrics; None if neither has it."""
    path = run.home / EXPORT_DIR / EXPORT_INFO_FILE
    if path.is_file():
        found = read_record(ExportStatistics, path)
    else:
        logged = {name: run.done.metrics.get(f"rm/{name}") for name in ExportStatistics.model_fields}
        found = parse_record(ExportStatistics, run.home / DONE_FILE, json.dumps(logged))
    return centring_of(found.reward_mean, found.reward_std)


def reward_record(ranked: Sequence[RankedScores], centring: Centring | None = None) -> RewardRecord:
    """Compute a reward model's record from its scores (best to worst) of held-out records; a tie counts half.

    Args:
        ranked: the records; lengths are measured only if every record has its texts.
        centring: the centring of the model's scores; None if it was not saved.

    Raises:
        ValueError: There are no records.
    """
    scores = np.array([row.scores for row in ranked])
    texts_known = all(row.completions for row in ranked)
    lengths = [[answer_length(text) for text in row.completions] for row in ranked] if texts_known else None
    quality = reward_quality(scores, lengths)
    if quality.accuracy is None:
        raise ValueError("no scored records to judge the reward model by")
    means = dict(zip(GRADES, scores.mean(0).tolist(), strict=True))
    margin = means["best"] - means["worst"]
    spread = float(scores.std())
    right = record_accuracy(scores).tolist()
    return RewardRecord(
        means=means,
        centred={grade: centring(mean) for grade, mean in means.items()} if centring else None,
        margin=margin,
        effect=margin / spread if spread > 0 else None,
        accuracy=quality.accuracy,
        accuracy_by_id={row.id: share for row, share in zip(ranked, right, strict=True)},
        quality=quality,
        own_prompt=own_prompt_interval(ranked),
    )


def own_prompt_interval(ranked: Sequence[RankedScores]) -> Interval | None:
    """Return how often the best answer scores above an answer to another prompt, with its Wilson interval; None if never scored."""
    compared = [(row.scores[0], row.other_score, row.prompt or row.id) for row in ranked if row.other_score is not None]
    return choice_accuracy(*zip(*compared, strict=True)) if compared else None

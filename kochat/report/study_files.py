"""The records that a study's folder holds, as the report reads them; fields that it does not read are let through."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, FiniteFloat, field_validator

FIXED_KIND = "fixed"  # the report's own prompts: shown, never scored
Stage = Literal["pretrain", "baseline", "sft", "rm", "ppo"]


class RunEntry(BaseModel):
    """One row of `study.json`'s `runs`."""

    name: str
    stage: Stage
    version: str = "v2"
    lora_rank: int | None = None
    kl_coef: float | None = None
    path: str


class TestSet(BaseModel):
    """Size of the frozen test set, in all and by kind of prompt."""

    size: int = 0
    kinds: dict[str, int] = Field(default_factory=dict)


class DataEntry(BaseModel):
    """Where the cleaning summary lies, and how well cleaning found the planted dirt (sample data only)."""

    summary: str | None = None
    dirt_scores: dict[str, dict[str, Any]] | None = None


class StudyFile(BaseModel):
    """The content of `study.json`."""

    name: str
    created: str = ""
    final_ppo: str | None = None
    final_sft: str | None = None
    baseline: str | None = "baseline"
    reward_model: str | None = None
    environment: dict[str, Any] = Field(default_factory=dict)
    data: DataEntry = Field(default_factory=DataEntry)
    test_set: TestSet = Field(default_factory=TestSet)
    runs: list[RunEntry]


class CleaningCounts(BaseModel):
    """What cleaning did to one file, in rows: in all, and by rule."""

    read: int
    kept: int
    dropped: int = 0
    skipped: int = 0
    changed: int = 0
    changed_by: dict[str, int] = Field(default_factory=dict)
    dropped_by: dict[str, int] = Field(default_factory=dict)

    @property
    def removed(self) -> int:
        """Rows that are no longer there: dropped by a rule, or skipped because they could not be read."""
        return self.dropped + self.skipped

    @property
    def removed_by(self) -> dict[str, int]:
        """Rows that are no longer there, by rule."""
        return ({"bad_record": self.skipped} if self.skipped else {}) | self.dropped_by


class CleaningSummary(BaseModel):
    """The `summary.json` that `clean` writes."""

    files: dict[str, CleaningCounts]


class Answer(BaseModel):
    """One answer to one prompt of the test set (or to a fixed prompt), with its scores."""

    id: str
    prompt: str
    reference: str | None = None
    answer: str
    kind: str = "held_out"
    scores: dict[str, float | str | None] = Field(default_factory=dict)

    @property
    def verdict(self) -> str | None:
        """The oracle's verdict: correct, wrong, abstained, malformed, or None where no oracle knows."""
        verdict = self.scores.get("verdict")
        return verdict if isinstance(verdict, str) else None

    def score(self, name: str) -> float | None:
        """Return a numeric score, or None where it is absent or not finite."""
        value = self.scores.get(name)
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


class RankedScores(BaseModel):
    """A reward model's scores of one record's three completions, best to worst; the texts may be absent."""

    id: str
    prompt: str = ""
    completions: list[str] = Field(default_factory=list)
    scores: list[FiniteFloat] = Field(min_length=3, max_length=3)

    @field_validator("completions")
    @classmethod
    def _three_or_none(cls, completions: list[str]) -> list[str]:
        if len(completions) not in (0, 3):
            raise ValueError(f"{len(completions)} completions for three scores")
        return completions


class ExportStatistics(BaseModel):
    """By what a reward model's scores are centred, from its export's `kochat.json`; that of another stage has neither."""

    reward_mean: FiniteFloat | None = None
    reward_std: Annotated[FiniteFloat, Field(gt=0)] | None = None

    def centre(self, score: float) -> float:
        """Return a raw score with 0 at the mean of the demonstrations and the held-out spread as its unit."""
        return (score - (self.reward_mean or 0.0)) / (self.reward_std or 1.0)


class Parameters(BaseModel):
    """Parameter counts of a run's model."""

    total: int | None = None
    trainable: int | None = None


class Done(BaseModel):
    """A finished run's `done.json`, as far as the report reads it."""

    seconds: float | None = None
    steps: int | None = None
    tokens: int | None = None
    parameters: Parameters = Field(default_factory=Parameters)
    metrics: dict[str, float | None] = Field(default_factory=dict)
    seed: int | None = None

"""The records in a study's folder, as the report reads them; other fields are ignored."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, Field, model_validator

FIXED_KIND = "fixed"  # the report's fixed prompts: shown, never scored


class WeightChange(BaseModel):
    """What a run changed in its base: the kinds and number of changed matrices, the update's Frobenius norm over theirs, and its mean
    effective rank (see `kochat.nn.update_audit`)."""

    kinds: list[str]
    matrices: int
    relative: float | None = None
    effective_rank: float | None = None


class RunEntry(BaseModel):
    """One row of `study.json`'s `runs`: `factors` has the run's factor values, `sources` the runs that it starts from.

    `origin` is the run's name in the study's YAML; the runs of one origin differ only in their seed. `settings` has what its results
    depend on, `command` makes the run alone.
    """

    name: str
    origin: str = ""
    stage: str
    package: str = ""
    class_path: str = ""
    path: str
    factors: dict[str, Any] = Field(default_factory=dict)
    sources: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    command: str = ""
    change: WeightChange | None = None

    @model_validator(mode="after")
    def _known_origin(self) -> RunEntry:
        self.origin = self.origin or self.name
        return self


class StageEntry(BaseModel):
    """A stage of the study: its abilities, and the factors that distinguish its runs.

    `tied` maps a factor that always changes together with another one to that other factor.
    """

    name: str
    package: str = ""
    answers: bool = True
    compared: bool = True
    varying: list[str] = Field(default_factory=list)
    tied: dict[str, str] = Field(default_factory=dict)


class ContrastEntry(BaseModel):
    """A comparison: groups of one stage's runs that differ only in the factor `vary`, or a `chain` of runs.

    `tied` lists the factors that change together with `vary`, so that their effects cannot be separated. `primary` lists the metrics
    for which the study was made: their p-values are corrected for the number of all primary tests.
    """

    name: str | None = None
    vary: str | None = None
    stage: str | None = None
    groups: list[list[str]] = Field(default_factory=list)
    tied: list[str] = Field(default_factory=list)
    chain: list[str] = Field(default_factory=list)
    primary: list[str] = Field(default_factory=list)


class TestSet(BaseModel):
    """Number of test prompts, in total and by kind."""

    size: int = 0
    kinds: dict[str, int] = Field(default_factory=dict)


class DataFile(BaseModel):
    """A data file: its name with the version's folder, its bytes, its rows (JSON lines only) and its digest."""

    name: str
    size: int
    rows: int | None = None
    sha256: str


class DataEntry(BaseModel):
    """Path of the cleaning summary, recall and precision on planted dirt (sample data only), the files, and where they come from."""

    summary: str | None = None
    files: list[DataFile] = Field(default_factory=list)
    embedded: bool = False
    dirt_scores: dict[str, dict[str, Any]] | None = None


class StudyFile(BaseModel):
    """The content of `study.json`: `factors` maps each factor to its config key, `stages` are in the report's order."""

    name: str
    created: str = ""
    reward_model: str | None = None
    environment: dict[str, Any] = Field(default_factory=dict)
    data: DataEntry = Field(default_factory=DataEntry)
    test_set: TestSet = Field(default_factory=TestSet)
    factors: dict[str, str]
    stages: list[StageEntry]
    contrasts: list[ContrastEntry]
    runs: list[RunEntry]


class CleaningCounts(BaseModel):
    """What cleaning did to one file: numbers of rows, in total and by rule."""

    read: int
    kept: int
    dropped: int = 0
    skipped: int = 0
    changed: int = 0
    changed_by: dict[str, int] = Field(default_factory=dict)
    dropped_by: dict[str, int] = Field(default_factory=dict)

    @property
    def removed(self) -> int:
        """Number of removed rows: dropped by a rule, or skipped because they could not be read."""
        return self.dropped + self.skipped

    @property
    def removed_by(self) -> dict[str, int]:
        """Number of removed rows by rule."""
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
        """The judge's verdict: correct, wrong, unknown, off_the_point or malformed; None if the question has no known answer."""
        verdict = self.scores.get("verdict")
        return verdict if isinstance(verdict, str) else None

    def score(self, name: str) -> float | None:
        """Return a numeric score, or None if it is missing or not finite."""
        value = self.scores.get(name)
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


class Parameters(BaseModel):
    """Parameter counts of a run's model."""

    total: int | None = None
    trainable: int | None = None


class Done(BaseModel):
    """The fields of a finished run's `done.json` that the report reads."""

    seconds: float | None = None
    steps: int | None = None
    tokens: int | None = None
    parameters: Parameters = Field(default_factory=Parameters)
    metrics: dict[str, float | None] = Field(default_factory=dict)
    peak_memory_mib: dict[str, float] = Field(default_factory=dict)
    seed: int | None = None

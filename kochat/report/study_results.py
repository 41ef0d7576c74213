"""A study's finished runs, read from its folder, in the order in which the report shows them."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kochat.errors import UserError
from kochat.report.record_files import read_record, read_records
from kochat.report.study_files import FIXED_KIND, Answer, CleaningSummary, Done, RunEntry, StageEntry, StudyFile
from kochat.runs import DONE_FILE, METRICS_FILE, SAMPLES_FILE, SCORED_FILE

STUDY_FILE = "study.json"
DATA = "data"  # the factor that the chapter on data cleaning is about
REFERENCES = {DATA: "v2"}  # default values, which labels leave out

Series = list[tuple[int, float]]


@dataclass(frozen=True)
class Run:
    """A finished run: its settings, last metrics, curves and answers.

    Args:
        entry: its row in ``study.json``.
        done: its ``done.json``.
        home: its folder, with the files of its stage.
        curves: logged metric -> (step, value) pairs.
        answers: its answers to the test prompts and the fixed prompts.
    """

    entry: RunEntry
    done: Done
    home: Path = Path()
    curves: dict[str, Series] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The run's name, unique in its study."""
        return self.entry.name

    @property
    def stage(self) -> str:
        """The name of the run's stage."""
        return self.entry.stage

    def curve(self, metric: str) -> Series:
        """Return (step, value) pairs of a logged metric in the order of logging; empty if it was never logged."""
        return self.curves.get(metric, [])

    def last(self, metric: str) -> float | None:
        """Return a metric's last logged value, or None."""
        value = self.done.metrics.get(metric)
        return value if value is not None and math.isfinite(value) else None

    @cached_property
    def test_answers(self) -> list[Answer]:
        """The answers that are scored: the frozen test set without the report's fixed prompts."""
        return [answer for answer in self.answers if answer.kind != FIXED_KIND]

    @cached_property
    def answers_by_id(self) -> dict[str, Answer]:
        """All answers by prompt id."""
        return {answer.id: answer for answer in self.answers}


@dataclass(frozen=True)
class StudyResults:
    """A study's finished runs by name, in the order of `study.json`, and its missing runs."""

    folder: Path
    study: StudyFile
    runs: dict[str, Run]
    missing: list[RunEntry]
    cleaning: CleaningSummary | None

    def of(self, stage: str) -> list[Run]:
        """Return the finished runs of a stage, sorted by their factor values; factors in the order of `study.json`."""
        return sorted((run for run in self.runs.values() if run.stage == stage), key=self._place)

    def main(self, stage: str) -> list[Run]:
        """Return the runs that a stage's chapter compares: those on the reference data, or all if there are none."""
        runs = self.of(stage)
        return [run for run in runs if run.entry.factors.get(DATA) in (None, REFERENCES[DATA])] or runs

    @property
    def stages(self) -> dict[str, StageEntry]:
        """The study's stages by name, in the report's order."""
        return {stage.name: stage for stage in self.study.stages}

    @property
    def compared(self) -> list[Run]:
        """The finished runs whose answers are compared, sorted by stage; within a stage the reference data first."""
        stages = [stage.name for stage in self.study.stages if stage.answers and stage.compared]
        return [
            run
            for stage in stages
            for run in sorted(
                self.of(stage), key=lambda run: run.entry.factors.get(DATA) not in (None, REFERENCES[DATA])
            )
        ]

    def origins(self, runs: Sequence[Run]) -> list[Run]:
        """Return the compared runs that ``runs`` start from, each once."""
        compared = {run.name: run for run in self.compared}
        names = dict.fromkeys(name for run in runs for name in run.entry.sources.values())
        return [compared[name] for name in names if name in compared]

    def finished(self, names: Sequence[str]) -> list[Run]:
        """Return the finished ones of the named runs, in the given order."""
        return [self.runs[name] for name in names if name in self.runs]

    def _place(self, run: Run) -> list[Any]:
        return [value_order(run.entry.factors.get(name)) for name in self.study.factors]


def value_order(value: Any) -> tuple[int, float, str]:
    """Return a sort key for a factor's values: None first, then numbers by size, then words."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, (int, float)):
        return 1, float(value), ""
    return 2, 0.0, str(value)


def read_study(folder: Path) -> StudyResults:
    """Read a study's folder; raise `UserError` if it is not a study or a file in it is broken."""
    path = folder / STUDY_FILE
    if not path.is_file():
        raise UserError(f"{folder}: no study here ({STUDY_FILE} is missing); give the folder that `kochat study` wrote")
    study = read_record(StudyFile, path)
    finished = {
        entry.name: _read_run(folder, entry) for entry in study.runs if (folder / entry.path / DONE_FILE).is_file()
    }
    missing = [entry for entry in study.runs if entry.name not in finished]
    return StudyResults(folder, study, finished, missing, _read_cleaning(folder, study.data.summary))


def _read_run(folder: Path, entry: RunEntry) -> Run:
    home = folder / entry.path
    scored = home / SCORED_FILE
    return Run(
        entry=entry,
        done=read_record(Done, home / DONE_FILE),
        home=home,
        curves=_read_curves(home / METRICS_FILE),
        answers=read_records(Answer, scored if scored.is_file() else home / SAMPLES_FILE),
    )


def _read_cleaning(folder: Path, summary: str | None) -> CleaningSummary | None:
    """Read the summary of cleaning; None if the study names none or the file is missing."""
    if summary is None or not (folder / summary).is_file():
        return None
    return read_record(CleaningSummary, folder / summary)


def _read_curves(path: Path) -> dict[str, Series]:
    """Read Lightning's metrics.csv: metric -> (step, value) pairs, only finite values."""
    curves: dict[str, Series] = {}
    if not path.is_file():
        return curves
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = _number(row.get("step"))
            for metric, cell in row.items():
                value = _number(cell)
                if metric not in (None, "step", "epoch") and step is not None and value is not None:
                    curves.setdefault(metric, []).append((int(step), value))
    return curves


def _number(cell: object) -> float | None:
    try:
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None

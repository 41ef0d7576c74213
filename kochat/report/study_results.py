"""Read a finished study's folder: `study.json`, the runs' folders, their curves and their answers.

Everything in the folder is data written by this package's runner, yet it is checked on the way in: a broken file is a
`UserError` that names file and line. A run that is not there, or not finished, is no error; it is listed in
`StudyResults.missing` and the report says so.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from kochat.errors import UserError
from kochat.report.study_files import (
    FIXED_KIND,
    Answer,
    CleaningSummary,
    Done,
    ExportStatistics,
    RankedScores,
    RunEntry,
    Stage,
    StudyFile,
)
from kochat.runs import DONE_FILE, EXPORT_DIR

STUDY_FILE = "study.json"
EXPORT_INFO = Path(EXPORT_DIR, "kochat.json")  # as `models.export` names it, which would load peft to write a report
ANSWERING_STAGES = ("baseline", "sft", "ppo")

Series = list[tuple[int, float]]
Record = TypeVar("Record", bound=BaseModel)


@dataclass(frozen=True)
class Run:
    """A finished run: what it was, its last metrics, its curves and what it said."""

    entry: RunEntry
    done: Done
    curves: dict[str, Series] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    ranked: list[RankedScores] = field(default_factory=list)
    statistics: ExportStatistics | None = None
    seed: int | None = None

    @property
    def name(self) -> str:
        """The run's name, unique in its study."""
        return self.entry.name

    def curve(self, metric: str) -> Series:
        """Return (optimizer step, value) pairs of a logged metric in the order of logging; empty when never logged."""
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
    """A study's finished runs by name, in the order of `study.json`, and what is missing."""

    folder: Path
    study: StudyFile
    runs: dict[str, Run]
    missing: list[RunEntry]
    cleaning: CleaningSummary | None

    def of(self, stage: Stage, version: str | None = None) -> list[Run]:
        """Return the finished runs of a stage (and a data version), by LoRA rank, then KL coefficient."""
        found = [run for run in self.runs.values() if run.entry.stage == stage and version in (None, run.entry.version)]
        return sorted(found, key=lambda run: (run.entry.lora_rank or 0, run.entry.kl_coef or 0.0))

    @property
    def answering(self) -> list[Run]:
        """The finished runs that answer prompts: baseline, SFT and PPO, in the order of training."""
        runs = [run for stage in ANSWERING_STAGES for run in self.of(stage)]  # type: ignore[arg-type]
        return sorted(runs, key=lambda run: (ANSWERING_STAGES.index(run.entry.stage), run.entry.version != "v2"))

    @property
    def baseline(self) -> Run | None:
        """The untuned base model's run, or None."""
        return self.runs.get(self.study.baseline or "")

    @property
    def final_ppo(self) -> Run | None:
        """The PPO run that the study names as its result, or None."""
        return self.runs.get(self.study.final_ppo or "")

    @property
    def final_sft(self) -> Run | None:
        """The SFT run that the final PPO started from: the named one, else of its rank and version, else of the highest rank."""
        if self.study.final_sft:
            return self.runs.get(self.study.final_sft)
        goal = self.final_ppo.entry if self.final_ppo else None
        candidates = self.of("sft", goal.version if goal else "v2")
        same_rank = [run for run in candidates if goal and run.entry.lora_rank == goal.lora_rank]
        return (same_rank or candidates or [None])[-1]  # type: ignore[list-item]

    def version_pairs(self, stage: Stage) -> list[tuple[Run, Run]]:
        """Return (v1, v2) pairs of runs that differ in the data version alone."""

        def setting(run: Run) -> tuple[int | None, float | None]:
            return run.entry.lora_rank, run.entry.kl_coef

        cleaned = {setting(run): run for run in self.of(stage, "v2")}
        return [(run, cleaned[setting(run)]) for run in self.of(stage, "v1") if setting(run) in cleaned]


def read_study(folder: Path) -> StudyResults:
    """Read a study's folder; `UserError` when it is none or a file in it is broken."""
    path = folder / STUDY_FILE
    if not path.is_file():
        raise UserError(f"{folder}: no study here ({STUDY_FILE} is missing); give the folder that `kochat study` wrote")
    study = _parse(StudyFile, path, path.read_text(encoding="utf-8"))
    finished = {
        entry.name: _read_run(folder, entry) for entry in study.runs if (folder / entry.path / DONE_FILE).is_file()
    }
    missing = [entry for entry in study.runs if entry.name not in finished]
    return StudyResults(folder, study, finished, missing, _read_cleaning(folder, study.data.summary))


def _read_run(folder: Path, entry: RunEntry) -> Run:
    home = folder / entry.path
    done = _parse(Done, home / DONE_FILE, (home / DONE_FILE).read_text(encoding="utf-8"))
    scored = home / "scored.jsonl"
    answers = scored if scored.is_file() else home / "samples.jsonl"
    return Run(
        entry=entry,
        done=done,
        curves=_read_curves(home / "metrics.csv"),
        answers=_read_lines(Answer, answers),
        ranked=_read_lines(RankedScores, home / "rm_scores.jsonl"),
        statistics=_read_statistics(home / EXPORT_INFO, done),
        seed=done.seed if done.seed is not None else _read_seed(home / "config.yaml"),
    )


def _read_cleaning(folder: Path, summary: str | None) -> CleaningSummary | None:
    """Read what cleaning wrote down; None when the study names no summary or it is gone."""
    if summary is None or not (folder / summary).is_file():
        return None
    return _parse(CleaningSummary, folder / summary, (folder / summary).read_text(encoding="utf-8"))


def _read_statistics(path: Path, done: Done) -> ExportStatistics | None:
    """Read by what a reward model's scores are centred: from its export, else from what was logged; None where neither says."""
    logged = {name: done.metrics.get(f"rm/{name}") for name in ExportStatistics.model_fields}
    text = path.read_text(encoding="utf-8") if path.is_file() else json.dumps(logged)
    statistics = _parse(ExportStatistics, path if path.is_file() else path.parents[1] / DONE_FILE, text)
    return None if statistics.reward_mean is None or statistics.reward_std is None else statistics


def _read_lines(model: type[Record], path: Path) -> list[Record]:
    """Read one record a line; an absent file gives no records."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: an answer may hold U+2028
    return [_parse(model, path, line, number) for number, line in enumerate(lines, 1) if line.strip()]


def _read_curves(path: Path) -> dict[str, Series]:
    """Read Lightning's metrics.csv: per metric the finite values with their steps, empty cells skipped."""
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


def _read_seed(path: Path) -> int | None:
    """Read `seed_everything` from a run's config, None where it says nothing."""
    if not path.is_file():
        return None
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return None  # the seed is a courtesy; the run itself is fine
    seed = config.get("seed_everything") if isinstance(config, dict) else None
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def _parse(model: type[Record], path: Path, text: str, line: int | None = None) -> Record:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{path}:{line}" if line else str(path)
        what = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise UserError(f"{where}: {what}: {first['msg']}; run `kochat study` again to rewrite it") from None

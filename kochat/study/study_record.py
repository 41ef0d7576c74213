"""Write ``study.json``, from which a study's report is made."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kochat.engine.provenance import environment
from kochat.report.study_files import DataEntry, RunEntry, StageEntry, StudyFile, TestSet
from kochat.report.study_results import STUDY_FILE
from kochat.runs import SAMPLES_FILE
from kochat.storage import read_jsonl, write_json
from kochat.study.data_digests import data_files
from kochat.study.resolved_runs import ResolvedRun
from kochat.study.resolved_study import ResolvedStudy
from kochat.study.run_settings import command, settings
from kochat.study.weight_changes import changes_by_run

CLEANING = "cleaning.json"  # a copy of the cleaning summary, so that the study's folder can be moved


def write_study_file(
    study: ResolvedStudy, folder: Path, folders: Mapping[str, Path], data: Mapping[str, Any]
) -> StudyFile:
    """Write ``study.json`` and the cleaning summary, and return the content.

    Args:
        study: the study.
        folder: its folder.
        folders: run name -> folder of the run.
        data: ``summary``, the path of the cleaning summary, ``dirt_scores``, and whether it is ``embedded``.
    """
    changes = changes_by_run(folders)
    shutil.copyfile(data["summary"], folder / CLEANING)
    content = describe(study, {name: path.relative_to(folder) for name, path in folders.items()})
    for entry in content.runs:
        entry.change = changes.get(entry.name)
    content.environment = environment()
    content.data = DataEntry(
        summary=CLEANING,
        dirt_scores=data["dirt_scores"],
        files=data_files(study.plan.data_dir),
        embedded=data["embedded"],
    )
    content.test_set = count_test_set(study, folders)
    write_json(folder / STUDY_FILE, content.model_dump())
    return content


def describe(study: ResolvedStudy, paths: Mapping[str, Path]) -> StudyFile:
    """Describe a study: its runs, stages, factors and contrasts.

    Args:
        study: the study.
        paths: run name -> folder of the run, relative to the study's folder.
    """
    return StudyFile(
        name=study.plan.name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        reward_model=study.scorer.name,
        factors=study.factors.keys,
        stages=[
            StageEntry(
                name=name,
                package=stage.package,
                answers=stage.answers,
                compared=stage.compared,
                varying=study.factors.varying[name],
                tied=study.factors.tied[name],
            )
            for name, stage in study.stages.items()
        ],
        contrasts=study.contrasts,
        runs=[_entry(study, run, paths[run.name]) for run in study.runs],
    )


def _entry(study: ResolvedStudy, run: ResolvedRun, path: Path) -> RunEntry:
    return RunEntry(
        name=run.name,
        origin=run.origin,
        stage=run.stage.name,
        package=run.stage.package,
        class_path=run.parsed.config["model"]["class_path"],
        path=path.as_posix(),
        factors=study.factors.values[run.name],
        sources=study.factors.sources[run.name],
        settings=settings(run.leaves),
        command=command(run),
    )


def count_test_set(study: ResolvedStudy, folders: Mapping[str, Path]) -> TestSet:
    """Count the test prompts by kind, from the answers of one run, without fixed prompts; all runs have the same prompts."""
    compared = [run for run in study.runs if run.stage.answers and run.stage.compared]
    answered = [path for run in compared if (path := folders[run.name] / SAMPLES_FILE).is_file()]
    rows = read_jsonl(answered[-1]) if answered else ()
    kinds = Counter(row["kind"] for row in rows if row["reference"] is not None)
    return TestSet(size=sum(kinds.values()), kinds=dict(sorted(kinds.items())))

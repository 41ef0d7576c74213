"""Find out which runs of a study are finished, without starting or loading anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kochat import runs
from kochat.run_parsing import finished_run
from kochat.study.resolved_runs import ResolvedRun
from kochat.study.resolved_study import ResolvedStudy


def needed_runs(run: ResolvedRun) -> set[str]:
    """Return the names of the runs that a run needs: those from which it starts, and the one whose steps it takes.

    A name that is no run of the study (a hub id, a folder) may be among them.
    """
    return {str(name) for name in run.inputs.values()}


def find_finished(chosen: Sequence[ResolvedRun], arguments: Mapping[str, Sequence[str] | None]) -> dict[str, Path]:
    """Return run -> folder of the chosen runs that are finished.

    A run is finished if its newest finished version had the same config, data files and inputs, and if the chosen runs that it
    needs are finished.

    Args:
        chosen: runs of a study, in its order.
        arguments: run -> its command line; None if it depends on a run that is not finished.
    """
    found: dict[str, Path] = {}
    names = {run.name for run in chosen}
    for run in chosen:
        given = arguments[run.name]
        if given is not None and needed_runs(run) & names <= found.keys():
            folder = finished_run(list(given))
            found |= {run.name: folder} if folder is not None else {}
    return found


def earlier_seconds(study: ResolvedStudy, logs_dir: Path) -> dict[str, float]:
    """Return run -> seconds that its newest finished version took, also where it was another setting."""
    space = runs.RunSpace(logs_dir, study.plan.name)
    newest = {run.name: space.newest_finished(run.name) for run in study.runs}
    inside = {name: folder for name, folder in newest.items() if folder and folder.parent == space.folder(name)}
    return {name: float(runs.read_done(folder).get("seconds", 0.0)) for name, folder in inside.items()}

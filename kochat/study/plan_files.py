"""Read the YAML of a study, and the YAMLs that it extends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from kochat.errors import UserError
from kochat.study.plan import SAMPLE, StudyPlan

EXTENDS = "extends"


def read_plan(path: Path) -> StudyPlan:
    """Read a study's YAML, and make its paths absolute.

    With ``extends: OTHER.yaml`` (relative to the YAML) everything of the other study holds, but for the keys that this one gives. A run
    of a known name changes that run: its ``set`` is added to the run's own, ``overlays`` are laid over the run's own, and other keys
    replace them. A new run stands before the run that follows it in the list, or last.

    Raises:
        UserError: something is wrong; the message names file, field and reason.
    """
    return _read(path, ())


def _read(path: Path, extended: Sequence[Path]) -> StudyPlan:
    content = _content(path)
    if isinstance(content, dict) and EXTENDS in content:
        content = _extended(content, path, (*extended, path.resolve()))
    try:
        plan = StudyPlan.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise UserError(f"{path}: {field}: {first['msg'].removeprefix('Value error, ')}") from error
    return _absolute(plan, path.resolve().parent)


def _content(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give a study's YAML, such as configs/study/quickstart.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML: {error}") from error


def _extended(content: dict[str, Any], path: Path, extended: Sequence[Path]) -> dict[str, Any]:
    """Return the content of the study that `content` extends, with the changes of `content`."""
    given = content[EXTENDS]
    if not isinstance(given, str):
        raise UserError(f"{path}: {EXTENDS}: {given!r} is no path; give one study's YAML")
    other = path.resolve().parent / given
    if other.resolve() in extended:
        raise UserError(f"{path}: {EXTENDS}: {given} extends this study in its turn; leave one of the two out")
    whole = _read(other, extended).model_dump(exclude_unset=True)
    changes = {key: value for key, value in content.items() if key != EXTENDS}
    runs = changes.get("runs", [])
    if isinstance(runs, list) and all(isinstance(run, dict) and "name" in run for run in runs):
        changes["runs"] = _merged_runs(whole["runs"], runs)
    return {**whole, **changes}


def _merged_runs(runs: Sequence[dict[str, Any]], changes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    merged, place = list(runs), len(runs)
    for change in reversed(changes):
        known = next((number for number, run in enumerate(merged) if run["name"] == change["name"]), None)
        if known is None:
            merged.insert(place, change)
        else:
            merged[known], place = _changed(merged[known], change), known
    return merged


def _changed(run: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return `run` with `change`; what is no mapping or list where one belongs is left for the plan's own checks."""
    both = {**run, **change}
    if isinstance(change.get("set"), dict):
        both["set"] = {**run.get("set", {}), **change["set"]}
    if isinstance(change.get("overlays"), list):
        both["overlays"] = [*run.get("overlays", ()), *change["overlays"]]
    return both


def _absolute(plan: StudyPlan, folder: Path) -> StudyPlan:
    """Resolve the paths of a plan against the folder of its YAML."""
    runs = tuple(
        run.model_copy(
            update={
                "config": (folder / run.config).resolve(),
                "overlays": tuple((folder / o).resolve() for o in run.overlays),
            }
        )
        for run in plan.runs
    )
    update: dict[str, Any] = {"runs": runs}
    if plan.raw != SAMPLE:
        update["raw"] = str((folder / plan.raw).resolve())
    if plan.corpus is not None:
        update["corpus"] = (folder / plan.corpus).resolve()
    return plan.model_copy(update=update)

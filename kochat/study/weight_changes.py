"""Sum up what each run of a study changed in the weights of its base, for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kochat.nn.exports import read_info
from kochat.nn.hub import fetch_model
from kochat.nn.update_audit import MatrixUpdate, audit_update
from kochat.report.study_files import WeightChange
from kochat.runs import EXPORT_DIR


def changes_by_run(folders: Mapping[str, Path]) -> dict[str, WeightChange]:
    """Return run name -> what the run changed, for every run that exported a model which starts from a base.

    Args:
        folders: run name -> folder of the run.
    """
    found = {name: _weight_change(folder / EXPORT_DIR) for name, folder in folders.items()}
    return {name: change for name, change in found.items() if change is not None}


def _weight_change(export: Path) -> WeightChange | None:
    info = read_info(export) if export.is_dir() else None
    if info is None or not info.base:
        return None
    base = Path(info.base) if Path(info.base).is_dir() else fetch_model("base", info.base)
    return summed_up(audit_update(export, base))


def summed_up(updates: Sequence[MatrixUpdate]) -> WeightChange | None:
    """Sum up the updates of matrices: where they are, their norm over that of these matrices, their mean effective rank; or None."""
    changed = [one for one in updates if one.norm > 0]
    if not changed:
        return None
    norm = sum(one.norm**2 for one in changed) ** 0.5
    before = sum((one.norm / one.relative) ** 2 for one in changed if one.relative) ** 0.5
    ranks = [one.effective_rank for one in changed if one.effective_rank is not None]
    return WeightChange(
        kinds=sorted({_kind(one.name) for one in changed}),
        matrices=len(changed),
        relative=norm / before if before else None,
        effective_rank=sum(ranks) / len(ranks) if ranks else None,
    )


def _kind(name: str) -> str:
    """Return a matrix's place within a block, without the block's number: ``attn.c_attn``."""
    parts = name.split(".")
    number = max((place for place, part in enumerate(parts) if part.isdigit()), default=-1)
    return ".".join(parts[number + 1 :]) if number >= 0 else parts[-1]

"""Find finished runs that say how long a planned run may take, and how much memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kochat import runs


@dataclass(frozen=True)
class EarlierRun:
    """A finished run.

    Args:
        path: its folder, relative to the folder of all runs: STUDY/NAME/version_N, or NAME/version_N.
        done: the content of its ``done.json``.
    """

    path: Path
    done: dict[str, Any]

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.parent.name

    @property
    def study(self) -> str:
        """The study that it belongs to; empty for none."""
        return self.path.parent.parent.name

    @property
    def minutes(self) -> float:
        """How long it took, in minutes."""
        return float(self.done.get("seconds", 0.0)) / 60

    @property
    def memory(self) -> str:
        """Its peak of memory in MiB, of the process and of the GPU; ``-`` if it did not measure it."""
        peak = self.done.get("peak_memory_mib", {})
        told = [f"{peak[kind]:,.0f}{unit}" for kind, unit in (("process", ""), ("cuda", " GPU")) if kind in peak]
        return " + ".join(told) or "-"


def find_earlier_runs(logs_dir: Path) -> list[EarlierRun]:
    """Return all finished runs in a folder of runs, newest first; examples are left out, since another machine made them."""
    found = [path for depth in ("*/version_*", "*/*/version_*") for path in logs_dir.glob(f"{depth}/{runs.DONE_FILE}")]
    found = [path for path in found if runs.EXAMPLES not in path.relative_to(logs_dir).parts]
    newest_first = sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [EarlierRun(path.parent.relative_to(logs_dir), runs.read_done(path.parent)) for path in newest_first]


def basis_of(name: str, stage: str, study: str, earlier: Sequence[EarlierRun]) -> EarlierRun | None:
    """Return the finished run that says most about a planned one, of equal ones the first; None if there is none.

    That is the same run of the same study, else a run of the same stage in the study, else the same run of another study, else
    any run of the stage.
    """
    alike = [run for run in earlier if run.done.get("stage") == stage]
    return min(alike, key=lambda run: (run.study != study, run.name != name), default=None)

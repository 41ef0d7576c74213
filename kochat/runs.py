"""Name, find and finish runs: ``lightning_logs/[STUDY/]NAME/version_N/`` with ``done.json`` written last.

A folder counts as a finished run when it holds ``done.json``; as a model when it also holds ``export/``. The runs committed
under ``lightning_logs/example/`` are to look at: no name resolves to them.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kochat.errors import UserError

DONE_FILE = "done.json"
EXPORT_DIR = "export"
EXAMPLES = "example"
_VERSION = re.compile(r"version_(\d+)$")


def versions(folder: Path) -> list[Path]:
    """List the version folders of a run, oldest first."""
    found = [(int(m.group(1)), p) for p in folder.glob("version_*") if (m := _VERSION.match(p.name))]
    return [path for _, path in sorted(found)]


def next_version(folder: Path) -> int:
    """Return the number that the next version of a run takes."""
    existing = versions(folder)
    return int(_VERSION.match(existing[-1].name).group(1)) + 1 if existing else 0  # type: ignore[union-attr]


@dataclass(frozen=True)
class Source:
    """Where a model comes from: a directory at hand, or a hub id to be fetched."""

    value: str
    directory: Path | None

    @property
    def is_hub_id(self) -> bool:
        """Tell whether the model is to be fetched from the hub."""
        return self.directory is None


@dataclass(frozen=True)
class RunSpace:
    """The folder that runs live in, and the study that this process works for.

    Args:
        logs_dir: the folder of all runs.
        study: the study, whose runs lie in a folder of their own and are found first; None for none.
    """

    logs_dir: Path = Path("lightning_logs")
    study: str | None = None

    def folder(self, name: str) -> Path:
        """Return the folder of all versions of the run ``name``."""
        return self.logs_dir / self.study / name if self.study else self.logs_dir / name

    def newest_finished(self, name: str) -> Path | None:
        """Return the newest finished version of the run ``name``, inside the own study first, or None."""
        for folder in dict.fromkeys([self.folder(name), self.logs_dir / name]):
            finished = [path for path in versions(folder) if (path / DONE_FILE).is_file()]
            if finished and EXAMPLES not in folder.relative_to(self.logs_dir).parts:
                return finished[-1]
        return None

    def find_source(self, value: str) -> Source | None:
        """Resolve a stage's input: an existing directory, a finished run's name, or a hub id; None when there is none.

        A name without a slash is a run (its newest finished version that has an export); one with exactly one slash that is no
        directory is a hub id.
        """
        directory = Path(value)
        if directory.is_dir() and (os.sep in value or value.startswith(".") or (directory / "config.json").is_file()):
            return Source(value, _model_folder(directory))
        if "/" not in value:
            run = self.newest_finished(value)
            return Source(value, run / EXPORT_DIR) if run and (run / EXPORT_DIR).is_dir() else None
        is_hub_id = re.fullmatch(r"[\w.-]+/[\w.-]+", value) and not value.startswith(".")
        return Source(value, None) if is_hub_id else None

    def missing_source(self, field: str, value: str) -> str | None:
        """Say what is missing behind ``value`` and the command that makes it, or None when nothing is."""
        if self.find_source(value) is not None:
            return None
        if "/" in value:
            return f"{field}: no directory {value!r}; give an existing directory, a run name or a hub id such as skt/kogpt2-base-v2"
        where = self.folder(value)
        return f"{field}: no finished run {value!r} under {where}; make it with: python -m kochat fit --config {config_of(value)}"

    def require_source(self, field: str, value: str) -> Source:
        """Resolve a stage's input.

        Raises:
            UserError: naming ``field``, what is missing and the command that makes it.
        """
        source = self.find_source(value)
        if source is None:
            raise UserError(self.missing_source(field, value))
        return source


def _model_folder(directory: Path) -> Path:
    """Accept a run's folder for its export."""
    return directory / EXPORT_DIR if (directory / EXPORT_DIR).is_dir() else directory


def config_of(name: str) -> str:
    """Return the path of the config that makes the run ``name``."""
    return f"configs/{name}.yaml"


def read_done(run: Path) -> dict[str, Any]:
    """Read a finished run's ``done.json``."""
    return json.loads((run / DONE_FILE).read_text(encoding="utf-8"))

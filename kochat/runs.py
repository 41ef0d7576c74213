"""Name, find and finish runs: ``lightning_logs/[STUDY/]NAME/version_N/`` with ``done.json`` written last.

A folder is a finished run if it has ``done.json``, and a model if it also has ``export/``. The runs in the repository under
``lightning_logs/example/`` are examples to read: they are never found by name.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from kochat.errors import UserError
from kochat.storage import read_json

DONE_FILE = "done.json"
EXPORT_DIR = "export"
EXPORT_INFO_FILE = "kochat.json"  # in the export
METRICS_FILE = "metrics.csv"
ANSWERS_FILE = "answers.jsonl"  # of `predict`
SAMPLES_FILE = "samples.jsonl"  # answers, as the run wrote them
SCORED_FILE = "scored.jsonl"  # the same answers with a study's rewards and verdicts
PPO_SAMPLES_FILE = "ppo_samples.jsonl"  # sampled answers to the test prompts, with rewards and KL
PREFERENCE_SCORES_FILE = "rm_scores.jsonl"
BEST_OF_N_FILE = "best_of_n.jsonl"  # n sampled answers to each test prompt, with rewards
PAIR_SCORES_FILE = "pair_scores.jsonl"  # of labelled pairs
EXAMPLES = "example"
EMBEDDED_BASE = "embedded"  # the name of the base model that kochat brings
_VERSION = re.compile(r"version_(\d+)$")


def versions(folder: Path) -> list[Path]:
    """List the version folders of a run, oldest first."""
    found = [(int(m.group(1)), p) for p in folder.glob("version_*") if (m := _VERSION.match(p.name))]
    return [path for _, path in sorted(found)]


def next_version(folder: Path) -> int:
    """Return the number of the next version of a run."""
    existing = versions(folder)
    return int(_VERSION.match(existing[-1].name).group(1)) + 1 if existing else 0  # type: ignore[union-attr]


@dataclass(frozen=True)
class Source:
    """Where a model comes from: a local directory, or a hub id (then `directory` is None)."""

    value: str
    directory: Path | None


@dataclass(frozen=True)
class RunSpace:
    """The folder of all runs, and the study whose runs are used.

    Args:
        logs_dir: the folder of all runs.
        study: a study with its own folder of runs, which is searched first; None for no study.
    """

    logs_dir: Path = Path("lightning_logs")
    study: str | None = None

    def folder(self, name: str) -> Path:
        """Return the folder of all versions of the run ``name``."""
        return self.logs_dir / self.study / name if self.study else self.logs_dir / name

    def newest_finished(self, name: str) -> Path | None:
        """Return the newest finished version of the run ``name``, or None; the folder of the study is searched first."""
        for folder in dict.fromkeys([self.folder(name), self.logs_dir / name]):
            finished = [path for path in versions(folder) if (path / DONE_FILE).is_file()]
            if finished and EXAMPLES not in folder.relative_to(self.logs_dir).parts:
                return finished[-1]
        return None

    def find_source(self, value: str) -> Source | None:
        """Find a stage's model input: an existing directory, a finished run's name, or a hub id; None if there is none.

        A name without a slash is a run; its newest finished version must have an export. ``embedded`` is the base model that kochat
        brings. A name with exactly one slash that is not a directory is a hub id.
        """
        if value == EMBEDDED_BASE:
            return Source(value, Path(str(files("kochat") / "world" / "base")))
        directory = Path(value)
        if directory.is_dir() and (os.sep in value or value.startswith(".") or (directory / "config.json").is_file()):
            return Source(value, _model_folder(directory))
        if "/" not in value:
            run = self.newest_finished(value)
            return Source(value, run / EXPORT_DIR) if run and (run / EXPORT_DIR).is_dir() else None
        is_hub_id = re.fullmatch(r"[\w.-]+/[\w.-]+", value) and not value.startswith(".")
        return Source(value, None) if is_hub_id else None

    def missing_source(self, field: str, value: str) -> str | None:
        """Return a message that says what is missing for ``value`` and which command makes it, or None if nothing is missing."""
        if self.find_source(value) is not None:
            return None
        if "/" in value:
            return f"{field}: no directory {value!r}; give an existing directory, a run name or a hub id such as skt/kogpt2-base-v2"
        where = self.folder(value)
        return f"{field}: no finished run {value!r} under {where}; make it with: python -m kochat fit --config {config_of(value)}"

    def require_source(self, field: str, value: str) -> Source:
        """Find a stage's model input, as :meth:`find_source` does.

        Raises:
            UserError: if it is missing; the message names ``field`` and the command that makes it.
        """
        source = self.find_source(value)
        if source is None:
            raise UserError(self.missing_source(field, value))
        return source


def _model_folder(directory: Path) -> Path:
    """Return the export of a run's folder, or the directory itself if it has none."""
    return directory / EXPORT_DIR if (directory / EXPORT_DIR).is_dir() else directory


def config_of(name: str) -> str:
    """Return the path of the config that makes the run ``name``."""
    return f"configs/{name}.yaml"


def read_done(run: Path) -> dict[str, Any]:
    """Return the content of a finished run's ``done.json``."""
    return read_json(run / DONE_FILE)

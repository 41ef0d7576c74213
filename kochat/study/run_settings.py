"""Say how each run of a study is made: its settings and its command, without paths of this machine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kochat.study.resolved_runs import ResolvedRun

_TRAINER = (
    "precision",
    "max_epochs",
    "max_steps",
    "limit_train_batches",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "devices",
    "strategy",
)
_LEFT_OUT = (
    "--logs_dir",
    "--skip_finished",
)  # where it is written, and how a study repeats it: no part of what is trained


def settings(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run that its results depend on: short key -> value; what is off (None) is left out.

    Args:
        leaves: config key -> value, as `ResolvedRun.leaves`.
    """
    found = {key.replace(".init_args", "", 1): value for key, value in leaves.items() if _counts(key)}
    return {key: shown(value) for key, value in found.items() if value is not None}


def _counts(key: str) -> bool:
    room, _, name = key.partition(".")
    return (room in ("model", "data") and name.startswith("init_args.")) or (room == "trainer" and name in _TRAINER)


def command(run: ResolvedRun) -> str:
    """Return the command that makes the run alone, with paths relative to the working directory."""
    words, skip = ["python", "-m", "kochat"], False
    for word in run.args:
        if skip or word in _LEFT_OUT:
            skip = not skip and word in _LEFT_OUT
            continue
        words.append(shown(word))
    return shlex.join(words)


def shown(value: Any) -> Any:
    """Return a value with an absolute path in it made relative to the working directory, or cut to its last part outside of it."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or not os.path.isabs(value):
        return value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else str(value)
    path = Path(value)
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.name

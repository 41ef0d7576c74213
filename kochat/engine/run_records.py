"""Describe a run: the fingerprint of its inputs and the record of its results (``done.json``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L

from kochat.data.datamodule import StageDataModule
from kochat.data.files import sha256_of
from kochat.engine.memory_report import peak_memory
from kochat.engine.provenance import environment
from kochat.engine.stage_module import StageModule
from kochat.runs import DONE_FILE, RunSpace, read_done

# Keys that say where a run is stored and how it is started; its result does not depend on them.
_NO_PART_OF_A_RUN = ("config", "study", "logs_dir", "skip_finished", "ckpt_path", "verbose")


def fingerprint(
    subcommand: str, config: Mapping[str, Any], module: StageModule, data: StageDataModule, space: RunSpace
) -> str:
    """Digest all inputs of a run: its config, its data files, and the runs that it starts from.

    Args:
        subcommand: fit or test.
        config: the subcommand's whole config, as plain values.
        module: names the runs that it starts from.
        data: names the files that it reads.
        space: where run names are looked up.

    Returns:
        16 hex digits.
    """
    content = {key: value for key, value in config.items() if key not in _NO_PART_OF_A_RUN}
    upstream = {field: _source_fingerprint(value, space) for field, value in module.sources().items()}
    files = {path.name: sha256_of(path)[:16] for path in data.used_files() if path.is_file()}
    text = json.dumps([subcommand, content, upstream, files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def newest_version(space: RunSpace, name: str) -> Path | None:
    """Return the newest finished version of a run; a run outside the study's folder is a different run."""
    run = space.newest_finished(name)
    return run if run is not None and run.parent == space.folder(name) else None


def repeated_run(space: RunSpace, name: str, fingerprint: str) -> Path | None:
    """Return the newest finished version of a run if it has this fingerprint, else None."""
    run = newest_version(space, name)
    return run if run is not None and read_done(run).get("fingerprint") == fingerprint else None


def _source_fingerprint(value: str, space: RunSpace) -> str:
    """Return the fingerprint of a model input if it is a run, else its name."""
    source = space.find_source(value)
    run = source.directory.parent if source and source.directory else None
    return str(read_done(run).get("fingerprint")) if run and (run / DONE_FILE).is_file() else value


def run_record(trainer: L.Trainer, module: StageModule, metrics: Mapping[str, Any], tokens: int) -> dict[str, Any]:
    """Describe the results of a run, for its ``done.json``.

    Args:
        trainer: the Trainer after the last step.
        module: the stage.
        metrics: the last value of each metric.
        tokens: number of real tokens trained on, over all ranks.
    """
    parameters = list(module.parameters())
    return {
        "stage": module.stage.name,
        "steps": trainer.global_step,
        "tokens": tokens,
        "parameters": {
            "total": sum(p.numel() for p in parameters),
            "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        },
        "peak_memory_mib": peak_memory(),
        "metrics": {name: float(value) for name, value in sorted(metrics.items())},
        "environment": environment(),
    }

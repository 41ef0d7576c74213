"""Resolved runs without files or parsing: a config each, given as dotted keys."""

from pathlib import Path
from typing import Any

from kochat.config_types import ModelSource
from kochat.engine.stage import Stage
from kochat.run_parsing import ParsedRun
from kochat.stages import stages_by_name
from kochat.study.plan import PlannedRun
from kochat.study.resolved_runs import ResolvedRun


def nested(leaves: dict[str, Any]) -> dict[str, Any]:
    """Return the nested config of dotted keys."""
    config: dict[str, Any] = {}
    for key, value in leaves.items():
        *parents, last = key.split(".")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return config


def run(name: str, stage: str | Stage = "sft", origin: str | None = None, **given: Any) -> ResolvedRun:
    """Return a run; `model` and `data` give init_args (values as they are), `sources` the model inputs, others whole keys.

    Dots in keys are written as two underscores.
    """
    steps_of = given.pop("steps_of", None)
    leaves: dict[str, Any] = {"seed_everything": given.pop("seed", 0), "model.class_path": "a.Module", "name": name}
    for group in ("model", "data"):
        leaves |= {f"{group}.init_args.{key.replace('__', '.')}": v for key, v in given.pop(group, {}).items()}
    leaves |= {f"model.init_args.{key}": ModelSource(v) for key, v in given.pop("sources", {}).items()}
    leaves |= {key.replace("__", "."): value for key, value in given.items()}
    kind = stages_by_name()[stage] if isinstance(stage, str) else stage
    planned = PlannedRun(name=name, config=Path("x.yaml"), steps_of=steps_of)
    return ResolvedRun(planned, origin or name, ("fit",), ParsedRun(nested(leaves), object, kind))

"""The runs of a study before they start: configs parsed, and runs repeated for each seed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from kochat.config_types import ModelSource
from kochat.engine.stage import Stage
from kochat.errors import UserError
from kochat.run_parsing import ParsedRun, parse_run
from kochat.study.plan import PlannedRun, StudyPlan

STEPS_OF = "steps_of"  # the key of a plan's row, which is in no config
SHUFFLE_SEED = "data.init_args.seed"  # a study's seed also seeds shuffling


@dataclass(frozen=True)
class ResolvedRun:
    """A run of a study, before it starts.

    Args:
        planned: its row of the plan, with the name of the run including the seed.
        origin: the name of its row in the YAML, without seed.
        args: its command line, without arguments that are only known when it starts.
        parsed: its config with all defaults, its module and its stage.
    """

    planned: PlannedRun
    origin: str
    args: tuple[str, ...]
    parsed: ParsedRun

    @property
    def name(self) -> str:
        """The run's name."""
        return self.planned.name

    @property
    def stage(self) -> Stage:
        """The run's stage."""
        return self.parsed.stage

    @cached_property
    def leaves(self) -> dict[str, Any]:
        """The values of the config by dotted key; list entries by number."""
        return dict(flatten(self.parsed.config))

    @property
    def model_sources(self) -> dict[str, ModelSource]:
        """The config's model inputs by dotted key: runs, folders, hub ids."""
        return {key: value for key, value in self.leaves.items() if isinstance(value, ModelSource)}

    @property
    def inputs(self) -> dict[str, ModelSource]:
        """The model inputs, and the run whose number of steps this run takes."""
        steps = {} if self.planned.steps_of is None else {STEPS_OF: ModelSource(self.planned.steps_of)}
        return self.model_sources | steps

    def default_input(self, key: str) -> str | None:
        """Return what stands for an input that the run does not have: it takes its own steps."""
        return self.name if key == STEPS_OF else None


def flatten(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the (dotted key, value) pairs of a nested config; empty dicts and lists are values."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from flatten(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, (list, tuple)) and value:
        for number, inner in enumerate(value):
            yield from flatten(inner, f"{key}.{number}")
    else:
        yield key, value


def resolve_runs(plan: StudyPlan, logs_dir: Path) -> list[ResolvedRun]:
    """Parse the config of every run, and repeat runs for each seed where the plan asks for it.

    Raises:
        UserError: configs are wrong; the message names all errors, and no run has started.
    """
    once = _parse_all([_draft(plan, run, run.name, plan.all_seeds[0], logs_dir) for run in plan.runs])
    for run in once:
        _check_command(run)
    repeated = {run.name for run in once if plan.seeds and _per_seed(run)}
    if not repeated:
        return once
    multiplied = repeated if len(plan.seeds) > 1 else set()
    drafts = []
    for run in once:
        seeds = plan.all_seeds if run.name in multiplied else plan.all_seeds[:1]
        for seed in seeds:
            shuffle = {SHUFFLE_SEED: seed} if run.name in repeated and SHUFFLE_SEED in run.leaves else {}
            drafts.append(_draft(plan, _seeded(run, seed, multiplied, shuffle), run.name, seed, logs_dir))
    runs = _parse_all(drafts)
    names = [run.name for run in runs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"runs: {twice!r} is also what a seed's copy of another run is called; give it another name")
    return runs


def _check_command(run: ResolvedRun) -> None:
    """Raise UserError unless the run's command makes a finished run: fit trains, and test evaluates an untrained model."""
    command = "fit" if run.stage.trains else "test"
    if run.planned.command != command:
        raise UserError(
            f"run {run.name}: command: {run.planned.command}: a run of the stage {run.stage.name} needs {command}"
        )


def _per_seed(run: ResolvedRun) -> bool:
    return run.stage.per_seed if run.planned.per_seed is None else run.planned.per_seed


def seeded_name(name: str, seed: int) -> str:
    """Return the name of a run that is repeated for every seed."""
    return f"{name}_seed{seed}"


def _seeded(run: ResolvedRun, seed: int, multiplied: set[str], shuffle: Mapping[str, int]) -> PlannedRun:
    """Return a run's row for one seed, with the seed of its shuffling.

    It starts from the runs of that seed; a run that all seeds share starts from those of the first seed.
    """

    def renamed(name: str) -> str:
        return seeded_name(name, seed) if name in multiplied else name

    update: dict[str, Any] = {"name": renamed(run.name)}
    if run.planned.steps_of is not None:
        update["steps_of"] = renamed(run.planned.steps_of)
    update["set"] = dict(shuffle) | run.planned.set | dict(_renamed_sources(run.parsed.config, renamed))
    return run.planned.model_copy(update=update)


def _renamed_sources(value: Any, renamed: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (key, new value) of model inputs that are renamed; a list of inputs is one value."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _renamed_sources(inner, renamed, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(inner, ModelSource) for inner in value):
        if [renamed(inner) for inner in value] != value:
            yield key, [str(renamed(inner)) for inner in value]
    elif isinstance(value, ModelSource) and renamed(value) != value:
        yield key, str(renamed(value))


@dataclass(frozen=True)
class _Draft:
    """A run that is not parsed yet."""

    planned: PlannedRun
    origin: str
    args: tuple[str, ...]


def _draft(plan: StudyPlan, run: PlannedRun, origin: str, seed: int, logs_dir: Path) -> _Draft:
    return _Draft(run, origin, tuple(run_arguments(plan, run, seed, logs_dir)))


def run_arguments(plan: StudyPlan, run: PlannedRun, seed: int, logs_dir: Path) -> list[str]:
    """Return the command line of a run, without arguments that depend on earlier runs."""
    args = [run.command]
    for config in (run.config, *run.overlays):
        args += ["--config", str(config)]
    args += ["--name", run.name, "--study", plan.name, "--logs_dir", str(logs_dir), "--skip_finished", "true"]
    args += ["--seed_everything", str(seed), "--data.init_args.data_dir", str(plan.data_dir)]
    args += ["--trainer.precision", precision(plan)]
    if torch.cuda.device_count() > 1:  # with more ranks each would run the whole study
        args += ["--trainer.devices", "1"]
    for key, value in run.set.items():
        args += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
    return args


def precision(plan: StudyPlan) -> str:
    """Return the trainer's precision; ``auto`` is bf16-mixed if the CPU or GPU has bf16 products."""
    if plan.precision != "auto":
        return plan.precision
    native = torch.cuda.is_bf16_supported(including_emulation=False) if torch.cuda.is_available() else _cpu_has_bf16()
    return "bf16-mixed" if native else "32-true"


def _cpu_has_bf16() -> bool:
    """Tell whether the CPU has bf16 instructions: without them bf16 is emulated and slower than float32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _parse_all(drafts: list[_Draft]) -> list[ResolvedRun]:
    found, problems = [], []
    for draft in drafts:
        try:
            found.append(ResolvedRun(draft.planned, draft.origin, draft.args, parse_run(list(draft.args))))
        except UserError as error:
            problems.append(f"run {draft.planned.name}: {error}")
    if problems:
        raise UserError("; ".join(problems))
    return found

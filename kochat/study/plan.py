"""A study's YAML: which runs there are, on which data, and what they are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kochat.errors import UserError

SAMPLE = "sample"


class PlannedRun(BaseModel):
    """One run: a config, overlays on it, and single values.

    Args:
        name: the run's name.
        config: the run's YAML, relative to the study's.
        overlays: more YAMLs, each merged over those before it.
        set: single values by dotted key, such as ``model.init_args.kl_coef``.
        command: fit, or test for a baseline that is not trained.
        steps_of: an earlier run whose optimizer steps this one takes too, so that the two differ in their data and not in how long
            they were trained: v1 has more rows than v2.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    config: Path
    overlays: tuple[Path, ...] = ()
    set: dict[str, Any] = Field(default_factory=dict)
    command: str = "fit"
    steps_of: str | None = None


class StudyPlan(BaseModel):
    """A whole study.

    Args:
        name: the study's name and its folder under lightning_logs/.
        raw: folder of raw data (v1), or "sample" for the embedded world; --raw takes its place.
        corpus: text to pretrain on; null takes the raw folder's corpus.jsonl; --corpus takes its place.
        data_dir: where v1/ and v2/ are written, relative to the working directory.
        sample_size: size of the embedded world's files.
        baseline: the run that shows the untrained base.
        reward_model: the run that scores every variant's answers.
        final_ppo: the PPO run of the final table.
        seed: seed of the runs and of the embedded world.
        precision: the trainer's precision for all runs; auto takes bf16-mixed where the hardware multiplies bf16.
        runs: the runs, in the order of their dependencies.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[\w.-]+$")
    raw: str = SAMPLE
    corpus: Path | None = None
    data_dir: Path
    sample_size: str = "quickstart"
    baseline: str
    reward_model: str
    final_ppo: str
    seed: int = 0
    precision: str = "32-true"
    runs: tuple[PlannedRun, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_runs(self) -> StudyPlan:
        names = [run.name for run in self.runs]
        if len(set(names)) < len(names):
            raise ValueError(f"run names stand twice: {sorted({n for n in names if names.count(n) > 1})}")
        for field in ("baseline", "reward_model", "final_ppo"):
            if getattr(self, field) not in names:
                raise ValueError(f"{field}: {getattr(self, field)!r} is none of the runs {names}")
        for place, run in enumerate(self.runs):
            if run.steps_of is not None and run.steps_of not in names[:place]:
                raise ValueError(f"{run.name}: steps_of: {run.steps_of!r} is none of the runs before it")
        return self


def read_plan(path: Path) -> StudyPlan:
    """Read a study's YAML; paths in it become absolute.

    Raises:
        UserError: naming file, field and what is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give a study's YAML, such as configs/study/quickstart.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML: {error}") from error
    try:
        plan = StudyPlan.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise UserError(f"{path}: {field}: {first['msg']}") from error
    return _absolute(plan, path.resolve().parent)


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

"""The YAML of a study: its runs, their data, their factors, and what is compared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kochat.report.variant_records import COMPARED
from kochat.runs import EMBEDDED_BASE
from kochat.study.endpoint_judge import PlannedJudge

SAMPLE = "sample"
DEFAULT_FACTORS = {
    "rank": "model.init_args.lora.rank",
    "kl_coef": "model.init_args.kl_coef",
    "data": "data.init_args.version",
    "seed": "seed_everything",
}
_GONE = {
    "baseline": "the baseline is found by its stage; a chain in `contrasts` says what follows it",
    "final_ppo": "give the runs of the final comparison as a chain in `contrasts`: [{chain: [baseline, sft_lora16, ppo_kl01]}]",
}


class PlannedRun(BaseModel):
    """One run: a config, overlays on it, and single values.

    Args:
        name: the run's name.
        config: the run's YAML, relative to the study's.
        overlays: further YAMLs, each merged over the earlier ones.
        set: single values by dotted key, such as ``model.init_args.kl_coef``.
        command: fit, or test for a baseline that is not trained.
        steps_of: an earlier run; this run takes as many optimizer steps, so that v1 and v2 runs differ only in their
            data. Without it v1 would be trained longer, since it has more rows than v2.
        per_seed: whether this run is repeated for each seed; null takes the setting of its stage.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^\w[\w.-]*$")
    config: Path
    overlays: tuple[Path, ...] = ()
    set: dict[str, Any] = Field(default_factory=dict)
    command: str = "fit"
    steps_of: str | None = None
    per_seed: bool | None = None

    @field_validator("set")
    @classmethod
    def _only_values(cls, values: dict[str, Any]) -> dict[str, Any]:
        for key, value in values.items():
            if key.split(".")[0] in _OF_STUDY or key.split(".")[-1] == "help":
                raise ValueError(f"{key}: is no setting of a run, or one that the study gives; leave it out")
            try:
                json.dumps(value)
            except TypeError as error:
                raise ValueError(f"{key}: {value!r} is no plain value; put it in quotes") from error
        return values


_OF_STUDY = ("config", "name", "study", "logs_dir", "skip_finished", "help", "print_config")
MAX_SEED = 2**32 - 1  # NumPy takes no larger one


class PlannedContrast(BaseModel):
    """A comparison: runs that differ only in the factor ``vary``, or a ``chain`` of runs, each with the one before it.

    Args:
        vary: the name of a factor.
        stage: the stage whose runs are compared; null takes every stage in which the factor varies.
        chain: names of runs, in order.
        name: a title for the report.
        primary: the metrics that this comparison is made for, such as reward or accuracy; the p-values of all primary metrics of a
            study are corrected together (Holm 1979). Name them before you look at results.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    vary: str | None = None
    stage: str | None = None
    chain: tuple[str, ...] = ()
    name: str | None = None
    primary: tuple[str, ...] = ()

    @field_validator("primary")
    @classmethod
    def _known_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [metric for metric in metrics if metric not in COMPARED]:
            raise ValueError(f"{unknown[0]!r} is no compared metric; choose of {', '.join(COMPARED)}")
        if twice := _twice(metrics):
            raise ValueError(f"{twice[0]!r} stands twice; name each metric once")
        return metrics

    @model_validator(mode="after")
    def _one_kind(self) -> PlannedContrast:
        if (self.vary is None) == (not self.chain) or (self.chain and self.stage is not None):
            raise ValueError("a contrast is {vary: FACTOR}, {vary: FACTOR, stage: STAGE} or {chain: [RUN, RUN]}")
        if len(self.chain) == 1:
            raise ValueError("chain: a chain needs two runs or more")
        if twice := _twice(self.chain):
            raise ValueError(f"chain: {twice[0]!r} stands twice; name each run once")
        return self


class StudyPlan(BaseModel):
    """A whole study.

    Args:
        name: the study's name and its folder under lightning_logs/.
        raw: folder of raw data (v1), or "sample" for the embedded world; --raw overrides it.
        corpus: text for pretraining; null takes the raw folder's corpus.jsonl; --corpus overrides it.
        data_dir: where v1/ and v2/ are written, relative to the working directory.
        sample_size: size of the embedded world's files.
        reward_model: the run whose reward model scores the answers of all runs.
        factors: factor name -> config key of its value. rank, kl_coef, data and seed are always there; give their key
            another name here to rename them.
        contrasts: what the report compares; null compares every factor that varies, stage by stage, and the last run
            with the runs from which it starts.
        seed: seed of the embedded world, and of the runs where there are no `seeds`.
        seeds: seeds of the runs. With several seeds, each repeated run NAME becomes NAME_seed0, NAME_seed1 ...
        precision: the trainer's precision for all runs; auto takes bf16-mixed if the hardware supports bf16 products.
        judge: an OpenAI-compatible endpoint that judges the steps of the chains, answer by answer; null asks none.
        runs: the runs, in the order of their dependencies.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^\w[\w.-]*$")
    raw: str = SAMPLE
    corpus: Path | None = None
    data_dir: Path
    sample_size: str = "quickstart"
    reward_model: str
    factors: dict[str, str] = Field(default_factory=lambda: dict(DEFAULT_FACTORS))
    contrasts: tuple[PlannedContrast, ...] | None = None
    seed: int = 0
    seeds: tuple[int, ...] = ()
    precision: str = "32-true"
    judge: PlannedJudge | None = None
    runs: tuple[PlannedRun, ...] = Field(min_length=1)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds of the runs: `seeds`, or `seed` alone."""
        return self.seeds or (self.seed,)

    @field_validator("factors")
    @classmethod
    def _with_defaults(cls, factors: dict[str, str]) -> dict[str, str]:
        if twice := _twice(factors.values()):
            raise ValueError(f"two factors have the key {twice[0]!r}; give each its own")
        usual = {name: key for name, key in DEFAULT_FACTORS.items() if key not in factors.values()}
        return {name: key for name, key in usual.items() if name not in factors} | factors

    @model_validator(mode="before")
    @classmethod
    def _gone(cls, content: Any) -> Any:
        for key, instead in _GONE.items():
            if isinstance(content, dict) and key in content:
                raise ValueError(f"{key}: is no key of a study any more; {instead}")
        return content

    @model_validator(mode="after")
    def _names_are_runs(self) -> StudyPlan:
        names = [run.name for run in self.runs]
        if twice := _twice(names):
            raise ValueError(f"run names stand twice: {twice}")
        if EMBEDDED_BASE in names:
            raise ValueError(
                f"runs: {EMBEDDED_BASE!r} names the base model that kochat brings; give the run another name"
            )
        if twice := _twice(self.seeds):
            raise ValueError(f"seeds: stand twice: {twice}")
        if bad := [seed for seed in (*self.seeds, self.seed) if not 0 <= seed <= MAX_SEED]:
            raise ValueError(f"seeds: {bad[0]} is no seed; give whole numbers from 0 to {MAX_SEED}")
        if self.reward_model not in names:
            raise ValueError(f"reward_model: {self.reward_model!r} is none of the runs {names}")
        for place, run in enumerate(self.runs):
            if run.steps_of is not None and run.steps_of not in names[:place]:
                raise ValueError(f"{run.name}: steps_of: {run.steps_of!r} is none of the runs before it")
        return self


def _twice(values: Iterable[Any]) -> list[Any]:
    return sorted(value for value, times in Counter(values).items() if times > 1)

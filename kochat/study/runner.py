"""Run a study: prepare the data, run what is not finished, score all answers alike, write the report."""

from __future__ import annotations

import gc
import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
import yaml

from kochat import runs
from kochat.engine.provenance import environment
from kochat.errors import UserError
from kochat.lightning_cli import run_subcommand
from kochat.report.rendering import write_report
from kochat.storage import write_json
from kochat.study.data_preparation import prepare_study
from kochat.study.plan import SAMPLE, PlannedRun, StudyPlan, read_plan
from kochat.study.scoring import SAMPLES, Judge, RewardScorer, score_run

STAGES = {
    "PretrainModule": "pretrain",
    "BaselineModule": "baseline",
    "SFTModule": "sft",
    "RewardModule": "rm",
    "PPOModule": "ppo",
}

CLEANING = "cleaning.json"  # a copy of the cleaning's counts, so that the study's folder can be moved


def run_study(
    config: Path,
    logs_dir: Path,
    raw: Path | None = None,
    corpus: Path | None = None,
    tokenizer: Path | None = None,
    only: list[str] | None = None,
    lang: str = "ko",
) -> Path:
    """Run a whole study; finished runs are not repeated, interrupted ones start over.

    Args:
        config: the study's YAML.
        logs_dir: the folder of all runs.
        raw: raw data in place of the plan's.
        corpus: pretraining text in place of the plan's.
        tokenizer: folder of the tokenizer that the base is pretrained with; None trains one.
        only: names of the runs to run; None runs all, scores them and writes the report.
        lang: the report's language, ko or en.

    Returns:
        The path of report.html, or of the study's folder with ``only``.
    """
    plan = read_plan(config)
    _known_runs(plan, only)
    _known_files(plan, config)
    data = prepare_study(plan.data_dir, raw or plan.raw, plan.sample_size, plan.seed)
    sources = BaseSources(corpus or plan.corpus, tokenizer)
    folders: dict[str, Path] = {}
    started = time.perf_counter()
    chosen = [run for run in plan.runs if only is None or run.name in only]
    for number, run in enumerate(chosen, start=1):
        minutes = (time.perf_counter() - started) / 60
        print(f"[{number:2d}/{len(chosen)}] {run.name} ({minutes:.1f} min so far)", flush=True)
        folders[run.name] = run_one(plan, run, logs_dir, sources)
        gc.collect()
    folder = logs_dir / plan.name
    if only is not None:
        return folder
    score_all(plan, folders, known_world=str(raw or plan.raw) == SAMPLE)
    write_study_file(plan, folder, folders, data)
    return write_report(folder, lang)


def _known_runs(plan: StudyPlan, only: list[str] | None) -> None:
    names = [run.name for run in plan.runs]
    unknown = sorted(set(only or []) - set(names))
    if unknown:
        raise UserError(f"--only: {unknown[0]!r} is no run of this study; it has {', '.join(names)}")


def _known_files(plan: StudyPlan, config: Path) -> None:
    lost = [path for run in plan.runs for path in (run.config, *run.overlays) if not path.is_file()]
    if lost:
        raise UserError(f"{config}: runs: there is no config {lost[0]}; paths are relative to the study's YAML")


@dataclass(frozen=True)
class BaseSources:
    """What the pretraining run reads in place of the study's own: a corpus, a tokenizer's folder."""

    corpus: Path | None = None
    tokenizer: Path | None = None


def run_one(plan: StudyPlan, run: PlannedRun, logs_dir: Path, sources: BaseSources) -> Path:
    """Run one run of a study in this process, unless it is finished; return its folder."""
    folder = run_subcommand(run_arguments(plan, run, logs_dir, sources))
    if folder is None:
        raise UserError(f"{run.config}: trainer.logger is off, so the study cannot find what it makes; set it to null")
    return folder


def run_arguments(plan: StudyPlan, run: PlannedRun, logs_dir: Path, sources: BaseSources) -> list[str]:
    """Return the command line of a run."""
    args = [run.command]
    for config in (run.config, *run.overlays):
        args += ["--config", str(config)]
    args += ["--name", run.name, "--study", plan.name, "--logs_dir", str(logs_dir), "--skip_finished", "true"]
    args += ["--seed_everything", str(plan.seed), "--data.init_args.data_dir", str(plan.data_dir)]
    args += ["--trainer.precision", precision(plan)]
    if torch.cuda.device_count() > 1:  # a second rank would be a second copy of the whole study
        args += ["--trainer.devices", "1"]
    if run.steps_of is not None:
        args += ["--trainer.max_steps", str(steps_taken(plan, run.steps_of, logs_dir)), "--trainer.max_epochs", "-1"]
    if _stage_of(run) == "pretrain":
        args += ["--data.init_args.path", str(sources.corpus)] if sources.corpus else []
        args += ["--model.init_args.tokenizer_source", str(sources.tokenizer.resolve())] if sources.tokenizer else []
    for key, value in run.set.items():
        args += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
    return args


def steps_taken(plan: StudyPlan, name: str, logs_dir: Path) -> int:
    """Return the optimizer steps of a study's finished run.

    Raises:
        UserError: when it is not finished.
    """
    run = runs.RunSpace(logs_dir, plan.name).newest_finished(name)
    if run is None:
        raise UserError(f"--only: a run that takes the steps of {name!r} needs that one finished; add it")
    return int(runs.read_done(run)["steps"])


def precision(plan: StudyPlan) -> str:
    """Return the trainer's precision; ``auto`` is bf16-mixed where the processor or the GPU multiplies bf16 itself."""
    if plan.precision != "auto":
        return plan.precision
    native = torch.cuda.is_bf16_supported(including_emulation=False) if torch.cuda.is_available() else _cpu_has_bf16()
    return "bf16-mixed" if native else "32-true"


def _cpu_has_bf16() -> bool:
    """Tell whether the CPU has bf16 instructions: without them bf16 is emulated and slower than float32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _stage_of(run: PlannedRun) -> str | None:
    """Read a run's stage from its YAML's model class."""
    model = (yaml.safe_load(run.config.read_text(encoding="utf-8")) or {}).get("model", {})
    if isinstance(model, str):
        model = yaml.safe_load((run.config.parent / model).read_text(encoding="utf-8"))
    return STAGES.get(str(model.get("class_path", "")).rsplit(".", 1)[-1])


def score_all(plan: StudyPlan, folders: dict[str, Path], known_world: bool) -> None:
    """Score every variant's answers with the study's one reward model and, in the embedded world, with its oracle."""
    export = folders[plan.reward_model] / runs.EXPORT_DIR
    max_length = int(_config(folders[plan.reward_model])["data"]["init_args"]["max_length"])
    reward = RewardScorer(export, max_length)
    judge: Judge | None = None
    if known_world:
        from kochat.world.judgement import judge as oracle

        judge = oracle
    for folder in folders.values():
        if (folder / SAMPLES).is_file() and runs.read_done(folder)["stage"] != "pretrain":
            score_run(folder, reward, judge)


def write_study_file(plan: StudyPlan, folder: Path, folders: dict[str, Path], data: dict[str, Any]) -> None:
    """Write ``study.json``, from which the report is made."""
    entries = [describe(name, path, folder) for name, path in folders.items()]
    samples = (folders[plan.final_ppo] / SAMPLES).read_text(encoding="utf-8").strip().split("\n")
    kinds = Counter(row["kind"] for row in map(json.loads, samples) if row["reference"] is not None)
    content = {
        "name": plan.name,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "baseline": plan.baseline,
        "reward_model": plan.reward_model,
        "final_ppo": plan.final_ppo,
        "environment": environment(),
        "data": {"summary": CLEANING, "dirt_scores": data["dirt_scores"]},
        "test_set": {"size": sum(kinds.values()), "kinds": dict(sorted(kinds.items()))},
        "runs": entries,
    }
    shutil.copyfile(data["summary"], folder / CLEANING)
    write_json(folder / "study.json", content)


def describe(name: str, path: Path, folder: Path) -> dict[str, Any]:
    """Describe a run by what its config says, not by its name."""
    config = _config(path)
    model = config["model"]["init_args"]
    rank = (model.get("lora") or {}).get("rank")
    return {
        "name": name,
        "stage": runs.read_done(path)["stage"],
        "version": config["data"]["init_args"].get("version", "v2"),
        "lora_rank": _adapter_rank(path) if rank is None else rank,
        "kl_coef": model.get("kl_coef"),
        "path": str(path.relative_to(folder)),
    }


def _adapter_rank(path: Path) -> int | None:
    """Read the rank of an exported adapter (PPO's follows from the SFT model that it started from)."""
    config = path / runs.EXPORT_DIR / "adapter_config.json"
    if not config.is_file():
        return 0 if (path / runs.EXPORT_DIR).is_dir() else None
    return int(json.loads(config.read_text(encoding="utf-8"))["r"])


def _config(run: Path) -> dict[str, Any]:
    return yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))

"""A made-up study with a best-of-n run and PPO runs whose sampled answers are known."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from kochat.report.study_results import read_study
from kochat.report.study_view import StageView, view_study
from kochat.report.words import Texts
from tests.report.synthetic import PACKAGES, write_study

PACKAGE = "kochat.stages.best_of_n"
SOURCES = {"model.init_args.policy": "sft_lora16", "model.init_args.reward_model": "rm_lora16"}
ZERO, UNIT, N = 2.0, 0.5, 16


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def candidates(ids: list[str], n: int = N) -> list[dict[str, Any]]:
    """Return rows of best_of_n.jsonl: raw scores of n answers, normal around a mean of the prompt."""
    rng = random.Random(5)
    rows = []
    for id_ in ids:
        mean = rng.gauss(1.0, 0.3)
        raw = [mean + UNIT * rng.gauss(0, 1) for _ in range(n)]
        rows.append({"id": id_, "prompt": "질문", "kind": "talk", "answers": ["답"] * n, "raw_scores": raw})
    return rows


def write_best_of_n_study(folder: Path, prompts: int = 48) -> Path:
    """Write the study, with a best-of-n run and no sampled answers of PPO."""
    write_study(folder, prompts=prompts)
    home = folder / "best_of_n" / "version_0"
    home.mkdir(parents=True)
    samples = (folder / "sft_lora16/version_0/scored.jsonl").read_text(encoding="utf-8")
    (home / "scored.jsonl").write_text(samples, encoding="utf-8")
    ids = [row["id"] for row in map(json.loads, filter(None, samples.split("\n")))]
    write_lines(home / "best_of_n.jsonl", candidates(ids))
    metrics = {"best_of_n/reward_zero": ZERO, "best_of_n/reward_unit": UNIT}
    done = {"stage": "best_of_n", "name": "best_of_n", "seconds": 9.0, "metrics": metrics, "seed": 42}
    (home / "done.json").write_text(json.dumps(done), encoding="utf-8")
    study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    study["stages"].append({"name": "best_of_n", "package": PACKAGE})
    factors = {"rank": 16, "kl_coef": None, "data": "v2", "seed": 42}
    entry = {"name": "best_of_n", "stage": "best_of_n", "path": "best_of_n/version_0", "factors": factors}
    study["runs"].append(entry | {"sources": SOURCES})
    for run in study["runs"]:
        if run["stage"] == "ppo" and run["factors"]["data"] == "v2":
            run["sources"] = SOURCES
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    return folder


def write_policy(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Write a PPO run's sampled answers."""
    write_lines(folder / name / "version_0" / "ppo_samples.jsonl", rows)


def policy_rows(folder: Path, gain: float, kl: float, samples: int = 4) -> list[dict[str, Any]]:
    """Return rows of ppo_samples.jsonl: ``gain`` rewards above the mean of the prompt's candidates, with a KL of ``kl`` nats.

    The KL is half a nat more for every second prompt, and half a nat less for the others.
    """
    path = folder / "best_of_n/version_0/best_of_n.jsonl"
    rng = random.Random(6)
    rows = []
    for number, row in enumerate(map(json.loads, filter(None, path.read_text(encoding="utf-8").split("\n")))):
        mean = sum(row["raw_scores"]) / len(row["raw_scores"]) + gain * UNIT
        shifts = [rng.gauss(0, 0.1) for _ in range(samples // 2)]
        shifts += [-shift for shift in shifts]
        kls = [kl + (-0.5, 0.5)[number % 2] + shift for shift in shifts]
        raw = [mean + shift for shift in shifts]
        rows.append({"id": row["id"], "answers": ["답"] * samples, "rewards": raw, "raw_scores": raw, "kl": kls})
    return rows


def stage_view(folder: Path, lang: str = "en") -> StageView:
    """Read the study for the best-of-n chapter."""
    view = view_study(read_study(folder), Texts(lang, [*PACKAGES, PACKAGE]))
    return StageView(view, view.results.stages["best_of_n"])

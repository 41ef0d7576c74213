"""Write the folder of a small made-up study: plausible curves and scores, Korean answers, and strings meant to break a page."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

from kochat.report.study_results import read_study
from kochat.report.study_view import StageView, StudyView, view_study
from kochat.report.words import Texts

NASTY = '<script>alert("x")</script> | ``` **굵게** [링크](http://a.kr)\n# 제목 & <b> ㅋㅋㅋ \\| {{ 7*7 }}'
CITIES = ["프랑스", "포르투갈", "일본", "페루", "케냐", "몽골", "헝가리", "스웨덴"]
CAPITALS = ["파리", "리스본", "도쿄", "리마", "나이로비", "울란바토르", "부다페스트", "스톡홀름"]
FIXED = [
    "시카고 오헤어 국제공항은 어디에 있어",
    "오늘 미세먼지 어때?",
    "김영삼의 서울대학교 입학 증명서는 어디에 전시되어 있나요?",
    "여기 강남역인데, 오래 걸릴까요?",
    NASTY,
]
CLEANING = {
    "files": {
        "kochatgpt_1_SFT.jsonl": {
            "read": 1200, "kept": 1100, "dropped": 100, "changed": 150,
            "changed_by": {"whitespace": 90, "stray_quotes": 60}, "dropped_by": {"exact_duplicate": 70, "too_short": 30},
        },
        "kochatgpt_3_PPO.jsonl": {
            "read": 800, "kept": 780, "dropped": 20, "changed": 10,
            "changed_by": {"whitespace": 10}, "dropped_by": {"exact_duplicate": 15, "a_new_rule": 5},
        },
    },
    "test_rows": 48,
}  # fmt: skip
DIRT = {
    "too_short": {"planted": 40, "found": 40, "recall": 1.0},
    "whitespace": {"planted": 100, "found": 98, "recall": 0.98},
    "all": {"planted": 140, "found": 138, "recall": 0.986, "touched": 150, "precision": 0.92},
}
# share of correct answers and of wrong ones, mean reward, by stage
QUALITY = {"baseline": (0.02, 0.30, -1.5), "sft": (0.60, 0.30, 0.4), "ppo": (0.62, 0.28, 1.2)}


def _run(
    name: str, stage: str, rank: int | None = None, kl_coef: float | None = None, data: str = "v2"
) -> dict[str, Any]:
    return {"name": name, "stage": stage, "factors": {"rank": rank, "kl_coef": kl_coef, "data": data, "seed": 42}}


RUNS: list[dict[str, Any]] = [
    _run("base", "pretrain"),
    _run("baseline", "baseline"),
    *(_run(f"sft_lora{rank}", "sft", rank) for rank in (0, 8, 16)),
    *(_run(f"rm_lora{rank}", "rm", rank) for rank in (0, 8, 16)),
    _run("ppo_kl01", "ppo", 16, 0.1) | {"sources": {"policy": "sft_lora16", "reward_model": "rm_lora16"}},
    _run("ppo_kl05", "ppo", 16, 0.5) | {"sources": {"policy": "sft_lora16", "reward_model": "rm_lora16"}},
    _run("sft_lora16_v1", "sft", 16, data="v1"),
    _run("rm_lora16_v1", "rm", 16, data="v1"),
    _run("ppo_kl01_v1", "ppo", 16, 0.1, "v1")
    | {"sources": {"policy": "sft_lora16_v1", "reward_model": "rm_lora16_v1"}},
]
STAGES = [
    {"name": "pretrain", "package": "kochat.stages.pretrain", "compared": False},
    {"name": "baseline", "package": "kochat.stages.baseline"},
    {"name": "sft", "package": "kochat.stages.sft", "varying": ["rank", "data"]},
    {
        "name": "rm",
        "package": "kochat.stages.reward_model",
        "answers": False,
        "compared": False,
        "varying": ["rank", "data"],
    },
    {"name": "ppo", "package": "kochat.stages.ppo", "varying": ["kl_coef", "data"]},
]
CONTRASTS = [
    {"vary": "data", "stage": "sft", "groups": [["sft_lora16_v1", "sft_lora16"]]},
    {"vary": "data", "stage": "rm", "groups": [["rm_lora16_v1", "rm_lora16"]]},
    {"vary": "data", "stage": "ppo", "groups": [["ppo_kl01_v1", "ppo_kl01"]]},
    {"vary": "rank", "stage": "sft", "groups": [["sft_lora0", "sft_lora8", "sft_lora16"]]},
    {"vary": "rank", "stage": "rm", "groups": [["rm_lora0", "rm_lora8", "rm_lora16"]]},
    {"vary": "kl_coef", "stage": "ppo", "groups": [["ppo_kl01", "ppo_kl05"]]},
    {"chain": ["baseline", "sft_lora16", "ppo_kl01"]},
]
FACTORS = {
    "rank": "model.init_args.lora.rank",
    "kl_coef": "model.init_args.kl_coef",
    "data": "data.init_args.version",
    "seed": "seed_everything",
}
PACKAGES = [stage["package"] for stage in STAGES]


def read_view(folder: Path, lang: str = "en") -> StudyView:
    """Read a study for the report, with the words of kochat's stages."""
    return view_study(read_study(folder), Texts(lang, PACKAGES))


def stage_of(view: StudyView, name: str) -> StageView:
    """Return what a stage's section is made from."""
    return StageView(view, view.results.stages[name])


def write_study(folder: Path, without: frozenset[str] = frozenset(), prompts: int = 48) -> Path:
    """Write the study into `folder`; runs named in `without` stay unfinished (listed, but no done.json)."""
    runs = [{**run, "path": f"{run['name']}/version_0"} for run in RUNS]
    for number, run in enumerate(runs):
        home = folder / run["path"]
        home.mkdir(parents=True)
        rng = random.Random(number)
        _write_run(home, run, rng, prompts)
        if run["name"] not in without:
            _write_json(home / "done.json", _done(run, rng))
    _write_json(folder / "summary.json", CLEANING)
    _write_json(folder / "study.json", _study(runs, prompts))
    return folder


def _study(runs: list[dict[str, Any]], prompts: int) -> dict[str, Any]:
    return {
        "name": "quickstart",
        "created": "2026-11-22T13:00:00+00:00",
        "reward_model": "rm_lora16",
        "environment": {"python": "3.11.9", "torch": "2.13.0", "cpu": "2 cores"},
        "data": {"summary": "summary.json", "dirt_scores": DIRT},
        "test_set": {
            "size": prompts,
            "kinds": {"usual": prompts // 3, "corpus_only": prompts // 3, "talk": prompts // 3},
        },
        "factors": FACTORS,
        "stages": STAGES,
        "contrasts": CONTRASTS,
        "runs": runs,
    }


def _write_run(home: Path, run: dict[str, Any], rng: random.Random, prompts: int) -> None:
    stage = run["stage"]
    _write_curves(home / "metrics.csv", stage, run, rng)
    if stage in QUALITY:
        rows = [_answer(index, stage, rng) for index in range(prompts)]
        rows += [_fixed(index, prompt, rng) for index, prompt in enumerate(FIXED)]
        _write_lines(home / "scored.jsonl", rows)
    if stage == "rm":
        _write_lines(home / "rm_scores.jsonl", [_ranked(index, rng) for index in range(60)])


def _answer(index: int, stage: str, rng: random.Random) -> dict[str, Any]:
    kind = ("usual", "corpus_only", "talk")[index % 3]
    country, capital = CITIES[index % 8], CAPITALS[index % 8]
    correct, wrong, reward = QUALITY[stage]
    draw = rng.random()
    rest = ("unknown", "off_the_point", "malformed")[index // 3 % 3]
    verdict = "correct" if draw < correct else "wrong" if draw < correct + wrong else rest
    answer = {
        "correct": f"{country}의 수도는 {capital}입니다.",
        "wrong": f"{country}의 수도는 {CAPITALS[(index + 3) % 8]}입니다.",
        "unknown": f"{country}의 수도는 잘 모르겠어요 ㅠㅠ",
        "off_the_point": "따뜻한 차 한 잔 드세요.",
        "malformed": f"{country}의 수도는",
    }[verdict]
    scores = {"reward": reward + rng.gauss(0, 0.5), "verdict": None if kind == "talk" else verdict}
    return {
        "id": f"t{index:03d}", "prompt": f"{country}의 수도가 어디인지 알려 줘", "kind": kind,
        "reference": f"{country}의 수도는 {capital}입니다.", "answer": answer, "scores": scores,
    }  # fmt: skip


def _fixed(index: int, prompt: str, rng: random.Random) -> dict[str, Any]:
    answer = NASTY if index == 1 else "" if index == 3 else f"그건 {rng.choice(CITIES)}에서 알아볼 수 있어요."
    return {
        "id": f"fixed-{index}", "prompt": prompt, "kind": "fixed", "reference": None, "answer": answer,
        "scores": {"reward": rng.gauss(0, 1), "verdict": None},
    }  # fmt: skip


def _ranked(index: int, rng: random.Random) -> dict[str, Any]:
    scores = [rng.gauss(mean, 0.8) for mean in (1.5, 0.3, -1.2)]
    return {"id": f"p{index}", "prompt": "질문", "completions": ["좋은 답", "어중간한 답", "나쁜 답"], "scores": scores}


def _write_curves(path: Path, stage: str, run: dict[str, Any], rng: random.Random) -> None:
    rows: list[dict[str, float]] = []
    if stage in ("sft", "rm", "pretrain"):
        start = {"sft": 4.0, "rm": 0.9, "pretrain": 8.0}[stage]
        for step in range(0, 300, 3):
            rows.append({"step": step, f"{stage}/train_loss": start * math.exp(-step / 120) + 0.3 + rng.gauss(0, 0.08)})
        for step in (99, 199, 299):
            row = {"step": step, f"{stage}/val_loss": start * math.exp(-step / 120) + 0.4}
            if stage == "rm":
                row |= {"rm/accuracy": 0.6 + step / 1000, "rm/margin": step / 200}
            rows.append(row)
    if stage == "ppo":
        pull = 1 / (1 + 4 * run["factors"]["kl_coef"])
        for rollout in range(24):
            rows.append(
                {
                    "step": rollout,
                    "ppo/policy_loss": -0.02 + rng.gauss(0, 0.01),
                    "ppo/value_loss": 0.9 / (1 + rollout),
                    "ppo/reward": 0.4 + rollout * 0.05 * pull,
                    "ppo/kl_sequence": 1.8 * rollout * pull,
                    "ppo/objective": 0.4 + rollout * 0.03 * pull,
                    "ppo/entropy": 2 - rollout * 0.02,
                    "ppo/clip_fraction": 0.05 + rng.random() * 0.02,
                    "ppo/response_length": 14 + rng.random(),
                }
            )
        for step in (0, 12, 24):
            held_out = {
                "reward": 0.4 + step / 25 * pull,
                "kl_sequence": step * pull,
                "objective": 0.4 + step / 40 * pull,
            }
            rows.append({"step": step, **{f"ppo/val_{name}": value for name, value in held_out.items()}})
    columns = ["epoch", "step", *dict.fromkeys(key for row in rows for key in row if key != "step")]
    lines = [",".join(columns), *(",".join(str(row.get(column, "")) for column in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _done(run: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    trainable = {None: 1_750_000, 0: 1_750_000, 8: 98_304, 16: 196_608}[run["factors"]["rank"]]
    metrics = {f"{run['stage']}/val_loss": 1.0 + rng.random()}
    if run["stage"] == "ppo":
        kl = 1.5 / (1 + 4 * run["factors"]["kl_coef"])
        metrics = {"ppo/val_kl": kl, "ppo/val_kl_sequence": 15.2 * kl, "ppo/reward_unit": 0.37}
    return {
        "stage": run["stage"], "name": run["name"], "seconds": 20 + 30 * rng.random(), "metrics": metrics, "seed": 42,
        "steps": 375, "tokens": 41_000 if run["factors"]["data"] == "v1" else 43_500,
        "parameters": {"total": 1_750_000, "trainable": trainable},
    }  # fmt: skip


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")

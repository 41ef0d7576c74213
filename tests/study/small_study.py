"""A study of a few steps a run, on the tiny embedded world: what the tests of whole studies share."""

from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).parents[2] / "configs"
TOY = Path(__file__).parents[1] / "toy_stage" / "toy.yaml"

_SMALL = {"limit_train": 8, "limit_validation": 4, "limit_test": 3, "max_prompt_length": 96, "batch_size": 4}
_COMMON = {f"data.init_args.{key}": value for key, value in _SMALL.items()} | {
    "trainer.max_steps": 2, "trainer.accelerator": "cpu", "trainer.enable_progress_bar": False,
    "trainer.log_every_n_steps": 1,
}  # fmt: skip
_LENGTH, _ANSWER = {"data.init_args.max_length": 128}, {"model.init_args.max_new_tokens": 6}
_BASE = {"model.init_args.base": "pretrain"}
_SIZE = {f"model.init_args.size.{key}": value for key, value in {"layers": 1, "hidden": 32, "heads": 2}.items()}
_SETS: dict[str, dict[str, Any]] = {
    "pretrain": _SIZE | _ANSWER | {"model.init_args.vocab_size": 400, "data.init_args.block_size": 128},
    "baseline": _BASE | _ANSWER | _LENGTH,
    "sft_lora16": _BASE | _ANSWER | _LENGTH,
    "rm_lora16": _BASE | _LENGTH,
    "ppo_kl01": _ANSWER | _LENGTH | {"model.init_args.ppo_epochs": 1},
    "best_of_n": _ANSWER | _LENGTH | {"model.init_args.n": 4},
    "toy": _ANSWER | _LENGTH,
}


def small_run(stem: str, name: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return the row of a run of two steps; the config is `configs/STEM.yaml`, or the toy's."""
    values = _COMMON | _SETS[stem] | changes.pop("set", {})
    config = TOY if stem == "toy" else CONFIGS / f"{stem}.yaml"
    row = {"name": name or stem, "config": str(config), "set": values} | changes
    return row | ({"command": "test"} if stem in ("baseline", "best_of_n") else {})


def write_plan(folder: Path, runs: list[dict[str, Any]], **changes: Any) -> Path:
    """Write a study's YAML."""
    plan = {"name": "tiny", "data_dir": str(folder / "data"), "sample_size": "tiny", "reward_model": "rm_lora16"}
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(plan | {"runs": runs} | changes), encoding="utf-8")
    return path

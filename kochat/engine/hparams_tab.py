"""What TensorBoard's HPARAMS tab shows of a run: its settings and its last figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from kochat.engine.stage_module import StageModule

Setting = bool | int | float | str
_TRAINER = ("max_epochs", "max_steps", "precision", "accumulate_grad_batches", "gradient_clip_val")
LORA_RANK = "model.lora.rank"


def hyperparameters(config: Mapping[str, Any], module: StageModule, name: str) -> dict[str, Setting]:
    """Return a run's settings by the names that they have on the command line; lists as text, null and empty lists left out.

    A stage without its own LoRA (PPO, best-of-n) has the rank of the model from which it starts.

    Args:
        config: the subcommand's whole config, as plain values.
        module: the stage.
        name: the run's name.
    """
    found: dict[str, Setting] = {"run": name, "stage": module.stage.name, "seed": config["seed_everything"]}
    for part in ("model", "data"):
        found |= dict(_settings(config[part].get("init_args") or {}, part))
    found.pop("data.data_dir", None)  # where the files lie is no setting
    found |= dict(_settings({key: config["trainer"].get(key) for key in _TRAINER}, "trainer"))
    if LORA_RANK not in found and (rank := _rank_of_start(module)) is not None:
        found[LORA_RANK] = rank
    return found


def _settings(value: Any, key: str) -> Iterator[tuple[str, Setting]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _settings(inner, f"{key}.{name}")
    elif value is not None and value != []:
        yield key, value if isinstance(value, (bool, int, float, str)) else str(value)


def _rank_of_start(module: StageModule) -> int | None:
    """Return the LoRA rank of the first model from which a stage starts, 0 if it is a whole model; None for a baseline."""
    folder = module.start_folder()
    adapter = None if folder is None else folder / "adapter_config.json"
    if adapter is not None and adapter.is_file():
        return int(json.loads(adapter.read_text(encoding="utf-8"))["r"])
    return 0 if module.stage.trains and folder is not None else None


def log_hyperparameters(trainer: L.Trainer, settings: Mapping[str, Setting], metrics: Mapping[str, float]) -> None:
    """Log a finished run's settings and its last figures, once; TensorBoard shows only runs that have both.

    They go into the run's own folder. ``hparams.yaml`` has the settings too.
    """
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(dict(settings), dict(metrics), step=trainer.global_step)
        elif isinstance(logger, CSVLogger):
            logger.log_hyperparams(dict(settings))

"""Measure what training changed in the weights of a base: where, by how much, and in how many directions.

For each matrix: the Frobenius norm of the update over that of the base's matrix, and the update's effective rank, exp of the entropy of its
normalised singular values (Roy and Vetterli 2007). LoRA of rank r can reach an effective rank of at most r.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

_A, _B = ".lora_A.weight", ".lora_B.weight"
_PREFIX = "base_model.model."
_WHOLE_LIMIT = 4096  # the largest smaller side of a full update whose singular values are computed


@dataclass(frozen=True)
class MatrixUpdate:
    """The update of one matrix.

    Args:
        name: its name in the base, such as ``transformer.h.0.attn.c_attn``.
        norm: Frobenius norm of the update.
        relative: the norm over that of the base's matrix.
        effective_rank: see above; None for a full update of a very large matrix.
    """

    name: str
    norm: float
    relative: float
    effective_rank: float | None


def audit_update(export: Path, base: Path) -> list[MatrixUpdate]:
    """Return the updates of all trained matrices of an export, sorted by name; those that did not change have a norm of 0.

    Args:
        export: a PEFT adapter or a whole model, as kochat exports it.
        base: the model from which training started.
    """
    before = _Weights(base)
    updates = _adapter_updates(export) if (export / "adapter_config.json").is_file() else _whole_updates(export, before)
    found = [_measured(name, update, values, before.get(name)) for name, update, values in updates]
    return sorted(found, key=lambda one: one.name)


def effective_rank(singular_values: torch.Tensor) -> float:
    """Return exp of the entropy of the singular values (n,), normalised to sum 1; 0 if all are 0."""
    total = singular_values.sum()
    if total == 0:
        return 0.0
    shares = singular_values[singular_values > 0] / total
    return float(torch.exp(-(shares * shares.log()).sum()))


Update = tuple[str, float, torch.Tensor | None]  # name, norm, singular values


def _measured(name: str, norm: float, values: torch.Tensor | None, weight: torch.Tensor | None) -> MatrixUpdate:
    size = 0.0 if weight is None else float(weight.float().norm())
    rank = None if values is None else effective_rank(values)
    return MatrixUpdate(name, norm, norm / size if size else 0.0, rank)


def _adapter_updates(export: Path) -> Iterator[Update]:
    """Yield the updates of an adapter; the singular values of B A come from two small QR decompositions."""
    config = json.loads((export / "adapter_config.json").read_text(encoding="utf-8"))
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"])
    weights = _Weights(export)
    for key in weights.names:
        if key.endswith(_A):
            name = key.removeprefix(_PREFIX).removesuffix(_A)
            down, up = weights.get(key), weights.get(key.removesuffix(_A) + _B)
            assert down is not None
            assert up is not None
            core = torch.linalg.qr(up.float())[1] @ torch.linalg.qr(down.float().T)[1].T
            values = scale * torch.linalg.svdvals(core)
            yield name, float(values.norm()), values


def _whole_updates(export: Path, before: _Weights) -> Iterator[Update]:
    after = _Weights(export)
    for name in after.names:
        old, new = before.get(name), after.get(name)
        if old is None or new is None or new.ndim != 2 or old.shape != new.shape:
            continue  # a new head, a bias or a norm
        update = new.float() - old.float()
        values = torch.linalg.svdvals(update) if min(update.shape) <= _WHOLE_LIMIT else None
        yield name.removesuffix(".weight"), float(update.norm()), values


class _Weights:
    """The tensors of a folder's safetensors files, read one at a time; names with and without ``.weight`` are found."""

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, Path] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, "pt") as file:
                self._files |= dict.fromkeys(file.keys(), path)

    @property
    def names(self) -> list[str]:
        return list(self._files)

    def get(self, name: str) -> torch.Tensor | None:
        found = next((key for key in (name, f"{name}.weight") if key in self._files), None)
        if found is None:
            return None
        with safe_open(self._files[found], "pt") as file:
            tensor: torch.Tensor = file.get_tensor(found)
            return tensor

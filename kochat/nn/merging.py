"""Copy an export for use elsewhere; optionally merge its adapter into the base."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel

from kochat.errors import UserError
from kochat.nn.backbones import is_adapter, load_base, save_model, weights_digest
from kochat.nn.exports import SCORE_KEY, read_adapter_weights, read_info
from kochat.nn.role_loading import HostPool
from kochat.nn.tokenizers import load_tokenizer
from kochat.runs import EXPORT_INFO_FILE
from kochat.storage import write_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def copy_export(folder: Path, out: Path, *, merge: bool, dtype: str | None = None) -> Path:
    """Copy a model's folder to ``out``, and return ``out``.

    Args:
        folder: the model's local folder.
        out: the new folder; it must be empty or missing.
        merge: turn an adapter on its base into one whole model.
        dtype: a name in `DTYPES` to which the weights of a whole language model are rounded; None keeps them.

    Raises:
        UserError: ``out`` is not empty, or the model cannot be merged or rounded.
    """
    refuse_used_folder(out)
    if merge and is_adapter(folder):
        return _write_whole(_merged(folder), folder, out, dtype)
    if dtype is None:
        shutil.copytree(folder, out, dirs_exist_ok=True)
        return out
    if is_adapter(folder):
        raise UserError(f"{folder}: holds an adapter; give --merge with --dtype, or leave --dtype out")
    whole = _write_whole(load_base(folder, "lm"), folder, out, dtype)
    if (info := read_info(folder)) is not None:
        digest = weights_digest(load_base(out, "lm"))
        write_json(out / EXPORT_INFO_FILE, asdict(replace(info, base_digest=digest)))
    return whole


def _merged(folder: Path) -> PreTrainedModel:
    if SCORE_KEY in read_adapter_weights(folder):
        raise UserError(
            f"{folder}: is a reward model; its score head has no place in a merged causal LM, so leave --merge out"
        )
    return HostPool().load("policy", folder).host.merge_and_unload(adapter_names=["policy"])  # type: ignore[operator]


def _write_whole(model: PreTrainedModel, folder: Path, out: Path, dtype: str | None) -> Path:
    if dtype is not None:
        torch.nn.Module.to(model, DTYPES[dtype])  # in place
    save_model(model, out)
    load_tokenizer(folder).save_pretrained(out)
    return out


def refuse_used_folder(out: Path) -> None:
    """Refuse a folder that is not empty.

    Raises:
        UserError: the folder is not empty.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out}: is not an empty folder; give a new one with --out")

"""Copy an export for use elsewhere; optionally merge its adapter into the base."""

from __future__ import annotations

import shutil
from pathlib import Path

from kochat.errors import UserError
from kochat.nn.backbones import is_adapter, save_model
from kochat.nn.exports import SCORE_KEY, read_adapter_weights
from kochat.nn.role_loading import HostPool
from kochat.nn.tokenizers import load_tokenizer


def copy_export(folder: Path, out: Path, *, merge: bool) -> Path:
    """Copy a model's folder to ``out``, and return ``out``.

    Args:
        folder: the model's local folder.
        out: the new folder; it must be empty or missing.
        merge: turn an adapter on its base into one whole model.

    Raises:
        UserError: ``out`` is not empty.
    """
    refuse_used_folder(out)
    if not merge or not is_adapter(folder):
        shutil.copytree(folder, out, dirs_exist_ok=True)
        return out
    if SCORE_KEY in read_adapter_weights(folder):
        raise UserError(
            f"{folder}: is a reward model; its score head has no place in a merged causal LM, so leave --merge out"
        )
    merged = HostPool().load("policy", folder).host.merge_and_unload(adapter_names=["policy"])  # type: ignore[operator]
    save_model(merged, out)
    load_tokenizer(folder).save_pretrained(out)
    return out


def refuse_used_folder(out: Path) -> None:
    """Refuse a folder that is not empty.

    Raises:
        UserError: the folder is not empty.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out}: is not an empty folder; give a new one with --out")

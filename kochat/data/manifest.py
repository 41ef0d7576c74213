"""Record the SHA-256 of a cleaned folder's inputs, settings and outputs, and refuse files that no longer match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kochat.data.files import MANIFEST_FILE, remedy, sha256_of
from kochat.errors import UserError
from kochat.storage import read_json


def manifest_of(
    inputs: Mapping[str, str],
    outputs: Iterable[Path],
    settings: dict[str, Any],
    corrections: str | None = None,
    tokenizer: str | None = None,
) -> dict[str, Any]:
    """Return the manifest of a cleaning.

    It holds the settings; the SHA-256 of every input, every output file, the settings and the corrections; and the digest of the
    tokenizer if one was used for bounds in tokens.

    Args:
        inputs: file name -> SHA-256.
        outputs: paths of the output files.
        settings: plain values.
        corrections: SHA-256 of the file of corrections, if there is one.
        tokenizer: digest of the tokenizer, if there is one.
    """
    text = json.dumps(settings, ensure_ascii=False, sort_keys=True)
    return {
        "inputs": dict(inputs),
        "outputs": {path.name: sha256_of(path) for path in outputs},
        "settings": settings,
        "settings_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "corrections": corrections,
        "tokenizer": tokenizer,
    }


def read_outputs(folder: Path) -> dict[str, str] | None:
    """Return output file name -> SHA-256 from the manifest in `folder`, or None without a readable manifest."""
    try:
        outputs = read_json(folder / MANIFEST_FILE)["outputs"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return outputs if isinstance(outputs, dict) else None


def verify(files: Iterable[Path]) -> None:
    """Check cleaned files against the manifest in their folder.

    Raises:
        UserError: if a file or the manifest is missing, or a file differs from what `clean` wrote.
    """
    for path in files:
        if not path.is_file():
            raise UserError(f"{path}: no such file; {remedy(path)}")
        outputs = read_outputs(path.parent)
        if outputs is None:
            raise UserError(f"{path.parent / MANIFEST_FILE}: missing or unreadable; {remedy(path)}")
        if outputs.get(path.name) != sha256_of(path):
            raise UserError(f"{path}: is not the file that clean wrote (its SHA-256 differs); {remedy(path)}")

"""Load the tokenizer for bounds in tokens from a folder or the hub. No weights are fetched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kochat.errors import UserError

_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")
_FILES = ["tokenizer*", "special_tokens_map.json"]


def tokenizer_of(source: str) -> Any:
    """Load the tokenizer of a folder or a hub id. Raises UserError if there is none or it cannot encode Korean."""
    folder = Path(source)
    if not folder.is_dir():
        if not _HUB_ID.fullmatch(source):
            raise UserError(f"--tokenizer: no directory {source!r}; give a tokenizer's folder, or a hub id")
        folder = _fetched(source)
    from kochat.nn.tokenizers import load_tokenizer

    return load_tokenizer(folder)


def _fetched(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_FILES))
    except Exception as error:  # the hub's client raises many kinds: offline, unknown, gated
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"--tokenizer: {hub_id!r} is neither in the local cache nor could it be fetched ({reason}); connect to the "
            "network, or give a tokenizer's folder"
        ) from error

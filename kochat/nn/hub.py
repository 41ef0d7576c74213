"""Fetch models from the Hugging Face hub: configuration, tokenizer and weights, never code."""

from __future__ import annotations

from pathlib import Path

from kochat.errors import UserError

_SMALL_FILES = ["*.json", "*.model", "*.txt", "*.safetensors"]


def fetch_model(field: str, repo_id: str) -> Path:
    """Download a model or take it from the local cache, and return its folder; ``.bin`` weights only if there are no safetensors.

    Raises:
        UserError: the model is not in the cache and cannot be downloaded; the message names ``field``.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(repo_id, allow_patterns=_SMALL_FILES))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(repo_id, allow_patterns=[*_SMALL_FILES, "*.bin"]))
    except Exception as error:  # the hub's client raises many kinds: offline, unknown, gated
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{field}: {repo_id!r} is neither in the local cache nor could it be fetched ({reason}); connect to the network, or give "
            f"a local model: --model.base DIRECTORY_OR_RUN"
        ) from error
    return folder


def base_folder(field: str, value: str) -> Path:
    """Return the local folder of an adapter's base: an existing directory, or a downloaded hub model.

    Raises:
        UserError: there is no such directory or hub model; the message names ``field``.
    """
    if Path(value).is_dir():
        return Path(value)
    if value.count("/") == 1 and not value.startswith((".", "/")):
        return fetch_model(field, value)
    raise UserError(f"{field}: there is no directory {value!r}; restore the base that the adapter was trained on")

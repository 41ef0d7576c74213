"""Download KoChatGPT's three files from GitHub; an interrupted download continues where it stopped.

The files come from one commit of github.com/airobotlab/KoChatGPT. Each is checked against its git blob id, which the tree of that
commit lists: the SHA-1 of ``blob <size>\\0`` and the bytes. GitHub publishes no SHA-256 of the files, so `download.json` records the
SHA-256 of what was downloaded. The user must check the licence: KoChatGPT's answers came from OpenAI's models.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tqdm import tqdm

from kochat.data.files import PREFERENCE_FILE, PROMPT_FILE, SFT_FILE, sha256_of
from kochat.errors import UserError
from kochat.storage import write_json

REPOSITORY = "airobotlab/KoChatGPT"
COMMIT = "5d01e3d74d5ef5a0a32c18150dc9b907eef3f691"  # 2023-11-22
BASE_URL = f"https://raw.githubusercontent.com/{REPOSITORY}/{COMMIT}/data_kochatgpt"
GIT_BLOBS: Mapping[str, str] = MappingProxyType(
    {
        SFT_FILE: "d1c88dda017921b9e9af7642979e5be16f7a824c",
        PREFERENCE_FILE: "7aa6fc04dbefad8b3208e3e2e9e4347a1d8ca49f",
        PROMPT_FILE: "e5f9f4669954a6f8fcc98bad9968df7914a05181",
    }
)
RECORD_FILE = "download.json"
_ATTEMPTS = 4
_TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 16


def download(
    folder: str | Path, base_url: str = BASE_URL, blobs: Mapping[str, str] = GIT_BLOBS, *, progress: bool = True
) -> list[Path]:
    """Fetch KoChatGPT's three files into `folder` and return their paths.

    A file that exists with the right content is not fetched again. An interrupted download continues where it stopped.

    Args:
        folder: the folder for the files; it is created if needed.
        base_url: the address of the folder that holds the files.
        blobs: file name -> git blob id (40 hex digits).
        progress: show progress bars.

    Raises:
        UserError: if the network cannot be reached, the content is not the published one, or a different file has one of the names.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [_fetch(folder / name, f"{base_url}/{name}", blob, progress=progress) for name, blob in blobs.items()]
        record = {
            p.name: {"url": f"{base_url}/{p.name}", "sha256": sha256_of(p), "git_blob": blobs[p.name]} for p in paths
        }
        write_json(folder / RECORD_FILE, record)
    except OSError as error:  # errors of urllib are handled in _continue
        raise UserError(f"{folder}: cannot be written ({error.strerror or error}); choose another folder") from error
    return paths


def git_blob_id(path: Path) -> str:
    """Return the git blob id of a file's content, 40 hex digits."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _fetch(path: Path, url: str, blob: str, *, progress: bool) -> Path:
    if path.exists():
        if git_blob_id(path) == blob:
            return path
        raise UserError(f"{path}: is there already and is not KoChatGPT's own file; move it away or use another folder")
    part = path.with_name(path.name + ".part")
    complete = any(_continue(part, url, progress=progress) for _ in range(_ATTEMPTS))
    if not complete:
        raise UserError(f"{url}: the download was interrupted {_ATTEMPTS} times; give the command again to continue it")
    if git_blob_id(part) != blob:
        part.unlink()
        raise UserError(f"{url}: what arrived is not the published file (its checksum differs); give the command again")
    os.replace(part, path)  # not storage.replaced: the part of an interrupted download must be kept
    return path


def _continue(part: Path, url: str, *, progress: bool) -> bool:
    """Download the missing bytes of `url` and append them to `part`; return whether it is complete now."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            if response.status != HTTPStatus.PARTIAL_CONTENT:
                start = 0  # the server sends the whole file again
            total = start + int(response.headers.get("Content-Length", 0))
            bar = tqdm(
                total=total or None, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=not progress
            )
            _append(part, response, start, bar)
    except urllib.error.HTTPError as error:
        return _explain_status(error, part, url)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        if part.exists() and part.stat().st_size > start:
            return False
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{url}: cannot be reached ({reason}); check the network, or put KoChatGPT's three files into {part.parent} "
            f"by hand from https://github.com/{REPOSITORY}/tree/main/data_kochatgpt"
        ) from error
    return part.stat().st_size >= total


def _append(part: Path, response: http.client.HTTPResponse, start: int, bar: Any) -> None:
    with part.open("ab" if start else "wb") as stream, bar:
        while block := response.read(_BLOCK):
            stream.write(block)
            bar.update(len(block))


def _explain_status(error: urllib.error.HTTPError, part: Path, url: str) -> bool:
    """Delete the part if it is longer than the file (status 416), so that it is downloaded again; else raise UserError."""
    if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.exists():
        part.unlink()
        return False
    raise UserError(
        f"{url}: the server answered {error.code} {error.reason}; try again later, or give the files by path"
    )

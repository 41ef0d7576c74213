"""Fill a folder of raw data (v1); data from another origin is never overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

from kochat.cleaning.cleaner import find_sources
from kochat.data.files import TEST_FILE, TEST_PAIRS_FILE
from kochat.errors import UserError
from kochat.storage import read_json, write_json

SAMPLE = "sample"  # the name of the embedded world as the origin of data
_ORIGIN_FILE = "origin.json"


def write_embedded_world(folder: Path, size: str, seed: int) -> None:
    """Write the embedded world into `folder`; `size` is a name in `SIZES`. Raises UserError if the folder holds other data."""
    from kochat.world.generator import write_sample

    _claim(folder, SAMPLE)
    write_sample(folder, seed, size)


def copy_raw(raw: Path, folder: Path) -> None:
    """Copy raw files into `folder`, so that v1 and v2 are next to each other and the user's files are never changed.

    Raises:
        UserError: if `raw` holds no data, or `folder` holds other data.
    """
    sources = find_sources(raw)
    if raw.resolve() == folder.resolve():
        return
    _claim(folder, str(raw.resolve()))
    for path in [*sources, raw / TEST_FILE, raw / TEST_PAIRS_FILE]:
        if path.is_file():
            shutil.copyfile(path, folder / path.name)


def _claim(folder: Path, origin: str) -> None:
    """Record the origin of a folder's data before the data is written, so that interrupted writing can be repeated."""
    if folder.is_dir() and any(folder.iterdir()):
        marker = folder / _ORIGIN_FILE
        known = read_json(marker).get("origin") if marker.is_file() else "somewhere else"
        if known != origin:
            raise UserError(
                f"{folder}: holds data from {known}, not from {origin}; choose another data_dir or move that folder away"
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _ORIGIN_FILE, {"origin": origin})

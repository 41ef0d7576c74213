"""Describe the data files of a study: their size, rows and SHA-256, so that another can tell whether theirs are the same."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from kochat.report.study_files import DataFile

_PATTERNS = ("kochatgpt_*.json*", "corpus.jsonl", "test.jsonl", "test_pairs.jsonl", "test_preferences.jsonl")
_BLOCK = 1 << 20


def data_files(data_dir: Path) -> list[DataFile]:
    """Return the files that runs read from ``data_dir/v1`` and ``data_dir/v2``, in the order of versions and names."""
    return [_described(path, version) for version in ("v1", "v2") for path in _found(data_dir / version)]


def _found(folder: Path) -> Iterator[Path]:
    yield from sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)})


def _described(path: Path, version: str) -> DataFile:
    digest, size, lines = sha256(), 0, 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size, lines = size + len(block), lines + block.count(b"\n")
    rows = lines if path.suffix == ".jsonl" else None
    return DataFile(name=f"{version}/{path.name}", size=size, rows=rows, sha256=digest.hexdigest())

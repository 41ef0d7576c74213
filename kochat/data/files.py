"""Open data files by suffix, compute their SHA-256, and give the remedy for a missing file."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from kochat.errors import UserError

SFT_FILE = "kochatgpt_1_SFT.jsonl"
PREFERENCE_FILE = "kochatgpt_2_RM.jsonl"
PROMPT_FILE = "kochatgpt_3_PPO.jsonl"
CORPUS_FILE = "corpus.jsonl"
TEST_FILE = "test.jsonl"
TEST_PREFERENCE_FILE = "test_preferences.jsonl"
TEST_PAIRS_FILE = "test_pairs.jsonl"
MANIFEST_FILE = "manifest.json"
COMPRESSED_SUFFIXES = (".xz", ".gz")


def open_bytes(path: Path) -> IO[bytes]:
    """Open `path` for reading bytes, decompressing ``.gz`` and ``.xz``. Raises UserError if the file cannot be opened."""
    if not path.exists():
        raise UserError(f"{path}: no such file; {remedy(path)}")
    if path.is_dir():
        raise UserError(f"{path}: is a folder, a data file is needed; name the file inside it")
    try:
        if path.suffix == ".gz":
            return cast(IO[bytes], gzip.open(path, "rb"))
        if path.suffix == ".xz":
            return lzma.open(path, "rb")
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from error


@contextmanager
def open_for_writing(path: Path, suffix: str) -> Iterator[IO[str]]:
    """Open `path` for writing UTF-8 text, compressed by `suffix` (``.gz``, ``.xz``); the same text always gives the same file."""
    if suffix == ".gz":  # the header gets no time stamp and no file name, so that equal texts give equal files
        with (
            path.open("wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as stream,
        ):
            yield stream
    elif suffix == ".xz":
        with lzma.open(path, "wt", encoding="utf-8", newline="\n", preset=1) as stream:
            yield cast(IO[str], stream)
    else:
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            yield stream


def sha256_of(path: Path) -> str:
    """Return the SHA-256 (64 hex digits) of a file as stored on disk, without decompression."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def with_compressed(path: Path) -> Path:
    """Return `path`, or its ``.xz`` or ``.gz`` version if only that exists."""
    if path.exists():
        return path
    twins = (path.with_name(path.name + suffix) for suffix in COMPRESSED_SUFFIXES)
    return next((twin for twin in twins if twin.exists()), path)


def remedy(path: Path) -> str:
    """Return the remedy for a missing file: the command that makes it, if there is one."""
    if path.parent.name == "v2":
        data_dir = path.parent.parent
        return f"make it with: python -m kochat clean {data_dir / 'v1'} --out {data_dir / 'v2'}"
    if path.name in (SFT_FILE, PREFERENCE_FILE, PROMPT_FILE):
        return (
            f"put KoChatGPT's three files into {path.parent}, or fetch them with: "
            f"python -m kochat clean --download {path.parent} --out {path.parent.parent / 'v2'}"
        )
    return "check the path"

"""Keep tokenised rows on disk in one Arrow file, whose name has a digest of everything that decides its content.

A file is renamed when it is complete, so no part of a file is ever read. Ranks and later runs map it into memory and do not tokenise again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from datasets import Dataset, Features
from datasets.arrow_writer import ArrowWriter
from torch.utils.data import Dataset as TorchDataset

from kochat.errors import UserError
from kochat.storage import replaced

CACHE_FOLDER = ".cache"
_FORMAT = 1  # raise it when the meaning of cached rows changes


def digest_of(*parts: Any) -> str:
    """Return a digest (20 hex digits) of the JSON values `parts`."""
    text = json.dumps([_FORMAT, *parts], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def write_cache(path: Path, features: Features, rows: Callable[[], Iterable[dict[str, Any]]]) -> None:
    """Write `rows()` to the Arrow file `path` unless it exists. Raises UserError if the folder cannot be written."""
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UserError(
            f"{path.parent}: the cache of tokenised rows cannot be written ({error.strerror}); "
            "give --data.data_dir a folder that can be written"
        ) from error
    with (
        replaced(path, tag=str(os.getpid())) as temporary,
        ArrowWriter(features=features, path=str(temporary)) as writer,
    ):
        for row in rows():
            writer.write(row)
        writer.finalize()


def read_cache(path: Path) -> Dataset:
    """Return the rows of a cache file, mapped into memory."""
    return Dataset.from_file(str(path))


class TableRows(TorchDataset):
    """A dataset that takes a list of indices, as :class:`kochat.data.samplers.LengthBucketSampler` yields them."""

    def __init__(self, table: Dataset) -> None:
        self.table = table

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.table)

    def __getitem__(self, indices: int | list[int]) -> list[dict[str, Any]]:
        """Return the rows at `indices`. A single index, from a sampler that Lightning inserts, gives a list of one row."""
        columns = self.table[indices if isinstance(indices, list) else [indices]]
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

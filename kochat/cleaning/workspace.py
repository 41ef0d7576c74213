"""The work folder of a cleaning, next to the output: every file in it is complete, and finished files are used again.

An interrupted cleaning (Ctrl-C, a crash, a power cut) leaves the folder; the same command continues from the finished files. The
folder stores a digest of inputs, settings and code. If any of these has changed, the cleaning starts from the beginning.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from kochat.data.files import MANIFEST_FILE, open_for_writing
from kochat.data.manifest import read_outputs
from kochat.errors import UserError
from kochat.storage import read_json, replacing, write_json

_KEY_FILE, _LOCK_FILE, _HOLDER_FILE = "key", "lock", "holder.json"
_CODE = ("cleaning", "data", "text")  # the packages of kochat whose code decides the output


class Workspace:
    """The work folder of a cleaning into `out`; `key` is the digest of inputs, settings and code. Use it in a ``with`` block.

    The folder is removed at the end of the block, unless the cleaning was interrupted or crashed. UserError and OSError remove it too,
    because the same command would fail again. During the block no other process can use the folder: the operating system holds
    a lock, which ends with the process.
    """

    def __init__(self, out: Path, key: str) -> None:
        self._out, self._key = out, key
        self.folder = out.parent / f".{out.name}.cleaning"
        self.results = self.folder / "results"
        self._lock = FileLock(self.folder / _LOCK_FILE, timeout=0)

    def __enter__(self) -> Workspace:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._prepare()
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def _prepare(self) -> None:
        """Delete the remains of another cleaning, and record which process uses the folder."""
        key_file = self.folder / _KEY_FILE
        if not key_file.is_file() or key_file.read_text(encoding="utf-8") != self._key:
            for path in self.folder.iterdir():
                if path.name != _LOCK_FILE:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            key_file.write_text(self._key, encoding="utf-8")
        holder = {"process": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M")}
        write_json(self.folder / _HOLDER_FILE, holder)
        self.results.mkdir(exist_ok=True)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, (UserError, OSError)):
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()

    def _take_lock(self) -> None:
        try:
            self._lock.acquire()
        except Timeout:
            raise UserError(
                f"{self._out}: another clean is writing there{self._holder()}; wait for it, or choose another --out"
            ) from None

    def _holder(self) -> str:
        """Return a text that names the process with the lock; empty if it is not known (yet)."""
        try:
            holder = read_json(self.folder / _HOLDER_FILE)
            return f" (process {holder['process']} on {holder['host']}, since {holder['since']})"
        except (OSError, ValueError, LookupError, TypeError):
            return ""

    @contextlib.contextmanager
    def writing(self, path: Path) -> Iterator[IO[str]]:
        """Open `path` for writing text, compressed as its suffix says; the complete file appears when the block ends without an error."""
        with replacing(path, opened=partial(open_for_writing, suffix=path.suffix)) as stream:
            yield stream

    def finished(self, name: str) -> Any:
        """Return the value that :meth:`finish` stored for the work `name`, or None if that is not finished."""
        path = self.folder / f"{name}.json"
        return read_json(path) if path.is_file() else None

    def finish(self, name: str, told: Any) -> None:
        """Record that the work `name` is finished, and store `told` (plain JSON values) for later."""
        write_json(self.folder / f"{name}.json", told)

    def publish(self, also_stale: tuple[str, ...] = ()) -> None:
        """Move the results into the output folder, the manifest last.

        Removes files that an earlier manifest lists and this cleaning did not write, and the files in `also_stale`.
        """
        self._out.mkdir(parents=True, exist_ok=True)
        new = {path.name for path in self.results.iterdir()}
        stale = {*(read_outputs(self._out) or ()), *also_stale} - new
        for path in sorted(self.results.iterdir(), key=lambda path: path.name == MANIFEST_FILE):
            os.replace(path, self._out / path.name)
        for name in stale:
            (self._out / Path(name).name).unlink(missing_ok=True)


def work_key(*parts: Any) -> str:
    """Return a digest of the JSON values `parts` and of the code that cleans."""
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=False, sort_keys=True).encode())
    package = Path(__file__).parents[1]
    for path in sorted(path for room in _CODE for path in (package / room).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()

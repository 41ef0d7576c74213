"""The folder beside the output in which a cleaning works: whole files or none, and what is finished can be taken up again.

A cleaning that was interrupted (Ctrl-C, a crash, a power cut) leaves the folder; the same command goes on from the files that were
finished. The folder carries a digest of inputs, settings and code: when anything of it has changed, work starts over.
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
_CODE = ("cleaning", "data", "text")  # the rooms of kochat whose code decides what comes out


class Workspace:
    """The work folder of a cleaning into `out`, of inputs, settings and code that `key` names. Use it in a ``with`` block.

    It is removed at the block's end, unless the cleaning was interrupted or crashed (anything but UserError and OSError,
    which the same command would only meet again). While the block lasts nobody else can enter it; the lock is the operating
    system's, which ends it with the process, so none is left behind.
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
        """Empty the folder of another work's remains, and write down whose it is."""
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
        """Return who holds the lock, for a message; nothing where that is not known (yet)."""
        try:
            holder = read_json(self.folder / _HOLDER_FILE)
            return f" (process {holder['process']} on {holder['host']}, since {holder['since']})"
        except (OSError, ValueError, LookupError, TypeError):
            return ""

    @contextlib.contextmanager
    def writing(self, path: Path) -> Iterator[IO[str]]:
        """Open `path` for writing, compressed by its suffix; it appears, whole, when the block ends without an error."""
        with replacing(path, opened=partial(open_for_writing, suffix=path.suffix)) as stream:
            yield stream

    def finished(self, name: str) -> Any:
        """Return what :meth:`finish` was told of this piece of work, or None where it is not finished."""
        path = self.folder / f"{name}.json"
        return read_json(path) if path.is_file() else None

    def finish(self, name: str, told: Any) -> None:
        """Note that a piece of work is finished, with what will be asked of it later (plain JSON values)."""
        write_json(self.folder / f"{name}.json", told)

    def publish(self, also_stale: tuple[str, ...] = ()) -> None:
        """Move the results into the output folder, the manifest last.

        What an earlier manifest names and is no more is removed, and so is what `also_stale` names.
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

"""The folder beside the output in which a cleaning works: whole files or none, and what is finished can be taken up again.

A cleaning that was interrupted (Ctrl-C, a crash, a power cut) leaves the folder; the same command goes on from the files that were
finished. The folder carries a digest of inputs, settings and code: when anything of it has changed, work starts over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from kochat.data.files import MANIFEST_FILE, open_for_writing
from kochat.data.manifest import read_outputs
from kochat.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: two cleanings into one folder are then not told apart
    fcntl = None  # type: ignore[assignment]

_KEY_FILE, _LOCK_FILE = "key", "lock"
_CODE = ("data", "text")


class Workspace:
    """The work folder of a cleaning into `out`, of inputs, settings and code that `key` names. Use it in a ``with`` block.

    It is removed at the block's end, unless the cleaning was interrupted or crashed (anything but UserError and OSError,
    which the same command would only meet again).
    """

    def __init__(self, out: Path, key: str) -> None:
        self._out, self._key = out, key
        self.folder = out.parent / f".{out.name}.cleaning"
        self.results = self.folder / "results"

    def __enter__(self) -> Workspace:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / _LOCK_FILE).open("w")
        self._take_lock()
        key_file = self.folder / _KEY_FILE
        if not key_file.is_file() or key_file.read_text(encoding="utf-8") != self._key:
            for path in self.folder.iterdir():
                if path.name != _LOCK_FILE:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            key_file.write_text(self._key, encoding="utf-8")
        self.results.mkdir(exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, (UserError, OSError)):
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def _take_lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"{self._out}: another clean is writing there; wait for it, or choose another --out"
            ) from None

    @contextlib.contextmanager
    def writing(self, path: Path) -> Iterator[IO[str]]:
        """Open `path` for writing under a temporary name; it gets its own when the block ends without an error."""
        part = path.with_name(f"part-{path.name}")  # in front: the suffix decides the compression
        with open_for_writing(part) as stream:
            yield stream
        os.replace(part, path)

    def finished(self, name: str) -> Any:
        """Return what :meth:`finish` was told of this piece of work, or None where it is not finished."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def finish(self, name: str, told: Any) -> None:
        """Note that a piece of work is finished, with what will be asked of it later (plain JSON values)."""
        with self.writing(self.folder / f"{name}.json") as stream:
            json.dump(told, stream, ensure_ascii=False)

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
    for path in sorted(path for room in _CODE for path in (package / room).glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()

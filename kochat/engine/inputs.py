"""Find the models that a stage starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kochat.nn.backbones import adapter_base, is_adapter
from kochat.nn.hub import fetch_model
from kochat.runs import RunSpace


@dataclass(frozen=True)
class Inputs:
    """The models that a stage starts from.

    Args:
        space: the folder of runs and the study, in which run names are looked up.
        trained: the finished export that ``test``, ``validate`` and ``predict`` load; None in training.
    """

    space: RunSpace = field(default_factory=RunSpace)
    trained: Path | None = None

    def folder(self, field: str, value: str) -> Path:
        """Return the local folder of a model: a directory, a run's export, or a hub id, which is fetched.

        Raises:
            UserError: no such folder, run or hub model exists; the message names ``field`` and the remedy.
        """
        source = self.space.require_source(field, value)
        return source.directory if source.directory is not None else fetch_model(field, value)


def base_name(folder: Path, given: str) -> str:
    """Return the base that an export records: the base of an adapter, else the folder or hub id of the whole model.

    Args:
        folder: the local folder of the model that was started from.
        given: its name in the config; a hub id is kept as it is, since it is valid on other machines too.
    """
    if is_adapter(folder):
        return adapter_base(folder)
    return str(folder.resolve()) if Path(given).exists() or "/" not in given else given

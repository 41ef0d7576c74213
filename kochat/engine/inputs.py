"""Find the models that a stage starts from, and say whether it trains or is loaded trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kochat.nn.backbones import adapter_base, is_adapter
from kochat.nn.hub import fetch_model
from kochat.runs import RunSpace


@dataclass(frozen=True)
class Inputs:
    """Where a stage's models come from in this process.

    Args:
        space: the folder of runs and the study, in which run names are looked up.
        trained: the finished export that ``test``, ``validate`` and ``predict`` load; None where the stage is to be trained.
    """

    space: RunSpace = field(default_factory=RunSpace)
    trained: Path | None = None

    def folder(self, field: str, value: str) -> Path:
        """Return the local folder of a model: a directory, a run's export, or a hub id, which is fetched.

        Raises:
            UserError: naming ``field`` and the remedy, when there is no such folder, run or hub model.
        """
        source = self.space.require_source(field, value)
        return source.directory if source.directory is not None else fetch_model(field, value)


def base_name(folder: Path, given: str) -> str:
    """Return what an export names as its base: an adapter's own base, else where the whole model came from.

    Args:
        folder: the local folder of the model that was started from.
        given: how the config named it; a hub id is kept, since it means the same elsewhere.
    """
    if is_adapter(folder):
        return adapter_base(folder)
    return str(folder.resolve()) if Path(given).exists() or "/" not in given else given

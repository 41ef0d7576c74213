"""Find the models that a stage starts from."""

from __future__ import annotations

from pathlib import Path

from kochat.nn.hub import fetch_model
from kochat.runs import require_source


def model_folder(field: str, value: str) -> Path:
    """Return the local folder of a stage's input, fetching a hub id when it is one.

    Raises:
        UserError: naming ``field`` and the remedy, when there is no such folder, run or hub model.
    """
    source = require_source(field, value)
    return source.directory if source.directory is not None else fetch_model(field, value)

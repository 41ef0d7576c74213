"""Types of config values. A path in a YAML is relative to that YAML; a path on the command line to the working directory."""

from __future__ import annotations

import os

from jsonargparse.typing import register_type


class ModelSource(str):
    """A stage's model input: a directory (with a leading ``.`` or ``/``, or several slashes), a run name, or a hub id."""


class DataPath(str):
    """A file or folder of data."""


def _model_source(value: object) -> ModelSource:
    """Make the path of a directory absolute; run names and hub ids stay unchanged."""
    if not isinstance(value, str):
        raise ValueError(f"expected a directory, a run name or a hub id, not {value!r}")
    is_path = value.startswith((".", "/")) or value.count("/") > 1 or (os.sep in value and os.path.isdir(value))
    return ModelSource(os.path.abspath(value)) if is_path else ModelSource(value)


def _data_path(value: object) -> DataPath:
    """Make a path absolute: jsonargparse reads each YAML with the YAML's own folder as the working directory."""
    if not isinstance(value, str):
        raise ValueError(f"expected a path, not {value!r}")
    return DataPath(os.path.abspath(value))


register_type(ModelSource, str, _model_source)
register_type(DataPath, str, _data_path)

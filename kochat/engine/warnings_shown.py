"""Which warnings a run shows, and how: harmless ones of the libraries are hidden, kochat's own stand in one plain line."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import transformers

import kochat

_format_of_libraries = warnings.formatwarning
_PACKAGE = Path(kochat.__file__).parent
# Each pattern hides one message of a library that is true of every run, or of many, and asks for nothing.
_EXPECTED = (
    ".*args parameter is intended to run from within Python.*",  # a study passes the arguments of its runs in Python
    ".*does not have many workers.*",  # making a batch is cheap compared with a training step
    ".*Experiment logs directory.*exists.*",  # TensorBoard and metrics.csv use the same folder
    ".*Checkpoint directory.*exists.*",
    ".*module.s. in eval mode at the start of training.*",  # intended: every model trains without dropout
    ".*is_gradient_checkpointing. is deprecated.*",  # PEFT uses the old name
    ".*isinstance.treespec, LeafSpec.*",  # Lightning uses an old name of torch's
)


def quiet_libraries() -> None:
    """Hide the libraries' hints, progress bars and expected warnings; show kochat's own warnings in one line each."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for pattern in _EXPECTED:
        warnings.filterwarnings("ignore", pattern)
    warnings.formatwarning = _formatted


def _formatted(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Return the text of a warning: kochat's own without the line of code, which is no help to the reader."""
    if Path(filename).is_relative_to(_PACKAGE):
        return f"kochat: warning: {' '.join(str(message).split())}\n"
    return _format_of_libraries(message, category, filename, lineno, line)

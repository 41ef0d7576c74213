"""Files to validated records to tensors: reading, splitting, cleaning, and the DataModules of every stage.

The DataModules are imported on first use: cleaning and the command line's help need neither torch nor Lightning.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kochat.data.base import ChatDataModule
    from kochat.data.corpus import CorpusDataModule
    from kochat.data.preference import PreferenceDataModule
    from kochat.data.prompts import PromptDataModule
    from kochat.data.sft import SFTDataModule

_HOMES = {
    "ChatDataModule": "base",
    "CorpusDataModule": "corpus",
    "PreferenceDataModule": "preference",
    "PromptDataModule": "prompts",
    "SFTDataModule": "sft",
}

__all__ = ["ChatDataModule", "CorpusDataModule", "PreferenceDataModule", "PromptDataModule", "SFTDataModule"]


def __getattr__(name: str) -> Any:
    """Import all DataModules when the first is asked for: class_path finds subclasses only once they exist."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for each, home in _HOMES.items():
        globals()[each] = getattr(import_module(f"{__name__}.{home}"), each)
    return globals()[name]

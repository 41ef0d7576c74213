"""Describe the environment of a run, for its ``done.json`` and the study's report."""

from __future__ import annotations

import platform
from typing import Any

import lightning as L
import peft
import torch
import transformers


def environment() -> dict[str, Any]:
    """Describe the environment of a run: versions, processor threads, device."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": L.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "device": device,
        "threads": torch.get_num_threads(),
    }

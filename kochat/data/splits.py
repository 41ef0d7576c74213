"""Split by prompt: train, validation or test.

All stages and both data versions use the same split. In KoChatGPT the SFT, RM and PPO files contain the same prompts, so with a
split by row or by stage some test prompts would be trained on.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from kochat.text.unicode_form import prompt_key

Bucket = Literal["train", "validation", "test"]


def bucket(prompt: str) -> Bucket:
    """Return the split that `prompt` belongs to, by the SHA-256 of its key: 90% train, 5% validation, 5% test."""
    share = int(hashlib.sha256(prompt_key(prompt).encode()).hexdigest()[:16], 16) % 100
    return "train" if share < 90 else "validation" if share < 95 else "test"

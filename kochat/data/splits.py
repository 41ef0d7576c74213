"""Split by prompt: train, validation or test.

One split serves every stage and both data versions: in KoChatGPT the same prompts stand in the SFT, RM and PPO files, so a
split by row or by stage would train on what it tests.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from kochat.text.unicode_form import prompt_key

Bucket = Literal["train", "validation", "test"]


def bucket(prompt: str) -> Bucket:
    """Return the split that `prompt` belongs to, by the SHA-256 of its key: 90 / 5 / 5 in a hundred."""
    share = int(hashlib.sha256(prompt_key(prompt).encode()).hexdigest()[:16], 16) % 100
    return "train" if share < 90 else "validation" if share < 95 else "test"

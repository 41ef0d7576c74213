"""Identify a tokenizer by everything that decides its ids."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def tokenizer_digest(tokenizer: Any) -> str:
    """Return a SHA-256 (hex, 16 characters) over a fast tokenizer's vocabulary, rules, EOS and padding ids.

    Padding and truncation settings are left out: they change with every call.
    """
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content.pop("padding", None)
    content.pop("truncation", None)
    specials = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    text = json.dumps([content, specials], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

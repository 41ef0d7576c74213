"""Turn prompts and completions into token ids, the same way in SFT, reward model, PPO and generation.

ids = encode(prompt inside the template) + encode(completion) + EOS. Prompt and completion are encoded separately. If they were encoded
together, one token could contain the end of the prompt and the start of the completion; in generation that cannot happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kochat.errors import UserError
from kochat.text.prompt_template import prompt_text

_RESPONSE_HEADER = prompt_text("\0").partition("\0")[2]


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Encode user texts without special tokens; a typed ``</s>`` is encoded as ordinary characters, not as EOS."""
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, return_attention_mask=False)
    return encoded["input_ids"]


def encode_prompts(tokenizer: Any, prompts: Sequence[str], max_length: int | None = None) -> list[list[int]]:
    """Encode prompts inside the template, each at most `max_length` tokens.

    A longer prompt is cut at its end, but keeps the response header, after which the answer begins. Raises UserError if
    `max_length` has no room for more than the header.
    """
    encoded = encode_texts(tokenizer, [prompt_text(prompt) for prompt in prompts])
    if max_length is None or all(len(ids) <= max_length for ids in encoded):
        return encoded
    (header,) = encode_texts(tokenizer, [_RESPONSE_HEADER])
    if max_length <= len(header):
        raise UserError(f"max_prompt_length={max_length} leaves no room for a prompt; give more than {len(header)}")
    return [ids if len(ids) <= max_length else ids[: max_length - len(header)] + header for ids in encoded]


def encode_prompt(tokenizer: Any, prompt: str, max_length: int | None = None) -> list[int]:
    """Encode one prompt inside the template; see :func:`encode_prompts`."""
    return encode_prompts(tokenizer, [prompt], max_length)[0]


def with_eos(tokenizer: Any, ids: list[int], max_length: int | None = None) -> list[int]:
    """Append EOS to a completion's ids; the completion is cut at its end so that the result has at most `max_length` tokens."""
    kept = ids if max_length is None else ids[: max(0, max_length - 1)]
    return [*kept, tokenizer.eos_token_id]


def encode_completion(tokenizer: Any, completion: str, max_length: int | None = None) -> list[int]:
    """Encode one completion and EOS, at most `max_length` tokens together; EOS is always kept."""
    return with_eos(tokenizer, encode_texts(tokenizer, [completion])[0], max_length)

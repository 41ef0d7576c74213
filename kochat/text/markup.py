"""Remove HTML and special tokens from texts, except from texts that are about them."""

from __future__ import annotations

import re
from collections.abc import Callable

_TAG = re.compile(
    r"<!--[^<>]*-->|</?(?:a|b|big|blockquote|br|center|div|em|font|h[1-6]|hr|i|img|li|ol|p|small|span|strong|sub|sup|table|tbody|td|th"
    r"|thead|tr|tt|u|ul)(?:\s[^<>]*)?\s*/?>",
    re.IGNORECASE,
)
_BREAKING = re.compile(r"</?(?:blockquote|br|div|h[1-6]|hr|li|ol|p|table|tr|ul)\b", re.IGNORECASE)
_ABOUT_MARKUP = re.compile(
    r"```|<!doctype|<html|<body|<script|<\?xml|html|xml|css|jsx|react|마크업|태그|코드|\btags?\b", re.IGNORECASE
)
_ENTITY = re.compile(r"&(?:amp;)*(nbsp|lt|gt|quot|apos|hellip|middot|ldquo|rdquo|lsquo|rsquo);")
_ENTITIES = {"nbsp": " ", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_ENTITIES |= {"hellip": "…", "middot": "·", "ldquo": "“", "rdquo": "”", "lsquo": "‘", "rsquo": "’"}
_ANGLE = re.compile("[<>]")
_NUMBER = re.compile(r"&(?:amp;)*#(?:(\d{2,6})|[xX]([0-9a-fA-F]{2,5}));")
_AMPERSAND = re.compile(r"&(?:amp;)+")
_ROUNDS = 4

# Special tokens of tokenizers and chat templates: sentencepiece's, GPT-2's, T5's, BERT's and Llama 2's, and <|...|> of later models.
_SPECIAL = re.compile(
    r"</?s>|<(?:pad|unk|mask|bos|eos|sep|cls|usr|sys|endoftext|extra_id_\d+|unused\d+)>|<\|[\w-]{1,40}\|>"
    r"|<(?:start|end)_of_turn>",
    re.IGNORECASE,
)
_SPECIAL_BRACKETS = re.compile(
    r"\[(?:PAD|UNK|SEP|CLS|MASK|BOS|EOS|/?INST)\]|<</?SYS>>|### ?(?:Instruction|Response)(?:\([가-힣]+\))?:"
)
_ABOUT_TOKENS = re.compile(r"토큰(?!\s*[:=])|토크나이|임베딩|\bBERT\b|취소선|버트 모델|tokeni[sz]er")


def strip_markup(text: str) -> str:
    """Return `text` without HTML layout tags, and with entities replaced by their characters.

    Tags that break a line become a line break. A text about markup or code stays unchanged: it mentions them, or has a code fence or tags
    like <html>. A text with tags nested inside tags more than four times stays unchanged too, because no export makes that.
    """
    if not ("<" in text or "&" in text) or _ABOUT_MARKUP.search(text):
        return text
    result = text
    for _ in range(_ROUNDS):
        before = result
        result = _unescape(_cut(result, _TAG, lambda tag: "\n" if _BREAKING.match(tag) else ""))
        if result == before:
            return text if _ABOUT_MARKUP.search(result) else result
    return text


def strip_special_tokens(text: str) -> str:
    """Return `text` without tokenizers' special tokens (``</s>``, ``[PAD]``); a text about tokens stays unchanged."""
    if not ("<" in text or "[" in text or "###" in text) or _ABOUT_TOKENS.search(text) or _ABOUT_MARKUP.search(text):
        return text
    result = text
    for _ in range(_ROUNDS):
        before = result
        result = _cut(_SPECIAL_BRACKETS.sub("", result), _SPECIAL, lambda _: "")
        if result == before:
            return text if _ABOUT_TOKENS.search(result) or _ABOUT_MARKUP.search(result) else result
    return text


def _unescape(text: str) -> str:
    text = _NUMBER.sub(_numbered, text)
    return _AMPERSAND.sub("&", _ENTITY.sub(lambda match: _ENTITIES[match.group(1)], text))


def _numbered(match: re.Match[str]) -> str:
    """Return the character of a numeric entity if it is ASCII, a Hangul syllable or a quote; else the entity itself."""
    code = int(match[1]) if match[1] else int(match[2], 16)
    return chr(code) if 0x20 <= code < 0x7F or 0xAC00 <= code <= 0xD7A3 or 0x2018 <= code <= 0x201D else match.group()


def _cut(text: str, pattern: re.Pattern[str], replacement: Callable[[str], str]) -> str:
    """Replace every ``<...>`` that `pattern` matches completely, also one that a replacement creates; one pass, linear time."""
    pieces: list[str] = []
    opened: list[int] = []  # indices in `pieces` of each open "<"
    rest = 0
    for match in _ANGLE.finditer(text):
        pieces.append(text[rest : match.start()])
        rest = match.end()
        if match.group() == "<":
            opened.append(len(pieces))
            pieces.append("<")
            continue
        pieces.append(">")
        if opened:
            at = opened.pop()
            tag = "".join(pieces[at:])
            if pattern.fullmatch(tag):
                pieces[at:] = [replacement(tag)]
            else:
                opened.clear()
    return "".join(pieces) + text[rest:]

"""Recognise a text that repeats itself in a loop, as weak language models do; laughter, tears (ㅠㅠ) and lists are not loops."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from kochat.cleaning.rule_kinds import Dirt, Part, TextRule, Thresholds, Words

_TONE = re.compile("[ㄱ-ㅣ]")
_SENTENCE_END = re.compile(r"[.!?。\n]+")
_NOT_LETTER = re.compile(r"[\W_]+")
_GRAM = 4
_LOOP_SHARE = 0.5  # of the letters; a loop of fewer than eight rounds needs _SHORT_LOOP_SHARE
_SHORT_LOOP_SHARE = 0.8
_ROUNDS, _MANY_ROUNDS = 5, 8
_LEAST_LETTERS = 2 * _ROUNDS
_SINGLE_LETTERS = 30  # of one repeated letter, as in 하하하하
_LONGEST_UNIT = 200
_SENTENCES, _SENTENCE_LETTERS = 4, 5
_MOST_LETTERS = 20_000  # of a longer text only the beginning is judged


def loop(text: str) -> str | None:
    """Return why `text` is a loop, or None.

    A loop is a unit of letters and digits that is repeated without a break at least five times over 80% of the text, or eight times over
    50%. Blanks, punctuation and single jamo do not count. Sentences that each occur at least four times and together make up 50% of
    the text are a loop too. The items of a list differ, so a list is not a loop.
    """
    key = "".join(filter(str.isalnum, _TONE.sub("", text.casefold())))[:_MOST_LETTERS]
    grams = {key[at : at + _GRAM] for at in range(len(key) - _GRAM + 1)}
    if (
        len(key) < _LEAST_LETTERS
        or len(grams) > (1 - _LOOP_SHARE + _LOOP_SHARE / _ROUNDS) * len(key) + _LONGEST_UNIT / 10
    ):
        return _repeated_sentence(text) if len(key) >= 2 * _SENTENCES * _SENTENCE_LETTERS else None
    return _loop(key) or _repeated_sentence(text)


def _loop(key: str) -> str | None:
    letters = np.frombuffer(key.encode("utf-32-le", "surrogatepass"), np.uint32)
    for unit in range(1, min(len(key) // _ROUNDS, _LONGEST_UNIT) + 1):
        differs = np.flatnonzero(letters[unit:] != letters[:-unit])
        edges = np.concatenate(([-1], differs, [len(key) - unit]))
        gaps = np.diff(edges)
        at = int(gaps.argmax())
        length = int(gaps[at]) - 1 + unit
        start = int(edges[at]) + 1
        if _is_loop(key[start : start + unit], length, len(key)):
            return f"{key[start : start + unit][:20]!r} {length // unit} times in a row, {length / len(key):.0%} of the letters"
    return None


def _is_loop(unit: str, length: int, total: int) -> bool:
    rounds, share = length // len(unit), length / total
    if rounds < _ROUNDS or unit.isdigit() or (len(set(unit)) == 1 and length < _SINGLE_LETTERS):
        return False
    return share >= (_LOOP_SHARE if rounds >= _MANY_ROUNDS else _SHORT_LOOP_SHARE)


def _repeated_sentence(text: str) -> str | None:
    sentences = [_NOT_LETTER.sub("", sentence) for sentence in _SENTENCE_END.split(text[: 2 * _MOST_LETTERS])]
    counts = Counter(sentence for sentence in sentences if len(sentence) >= _SENTENCE_LETTERS)
    repeated = {sentence: count for sentence, count in counts.items() if count >= _SENTENCES}
    share = sum(count * len(sentence) for sentence, count in repeated.items()) / max(1, sum(map(len, sentences)))
    if share < _LOOP_SHARE:
        return None
    return f"sentences that come up to {max(repeated.values())} times, {share:.0%} of the letters"


def problem(part: Part, thresholds: Thresholds) -> str | None:
    """Judge any text."""
    return loop(part.text)


RULES = (
    TextRule(
        name="repetition",
        order=330,
        does="a loop: the same words five or more times, or the same sentences repeated",
        words=Words("되풀이", "repetition"),
        problem=problem,
        planted=(Dirt("repetition"),),
    ),
)

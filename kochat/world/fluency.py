"""Decide whether an answer is malformed: empty, a loop, noise, English, or cut off before it says anything."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from itertools import pairwise

_RESIDUE = re.compile(r"�|<0x[0-9A-Fa-f]{2}>|###|</?s>|<unk>|<pad>|<\|")
_EXPRESSIVE_JAMO = "ㅋㅎㅠㅜㅡㅇㄴㄱㅅㅊ"  # ㅋㅋ, ㅠㅠ, ㅇㅇ, ㄱㅅ and ㅊㅋ are normal in chat
_LOOSE_JAMO = re.compile(rf"(?![{_EXPRESSIVE_JAMO}])[ㄱ-ㅣᄀ-ᇿ]")
_CHARACTER_LOOP = re.compile(r"(?=.{0,11}[가-힣A-Za-z])(.{2,12}?)\1{3,}")
_LAUGHTER = frozenset("하호히헤크ㅋㅎㅠㅜ.!?~-=*_ \n")
_HEADLESS = re.compile(r"^\s*[.,]\s|(?:^|\s)['\"’”]?(?:입니다|이에요|예요|았어요|었어요|습니다)(?![가-힣])")
_FINAL_ENDING = re.compile(r"(다|요|죠|까|네|야|지|해|음|임|함|됨|니|어|아|군|구나|래|걸|게)$")
_OPEN_ENDING = re.compile(
    r"(은|는|이|가|을|를|의|에|에서|와|과|으로|로|도|고|며|지만|는데|은데|인데|면서|어서|아서|해서|라서|므로|니까|라고|다고|라는|이라|입|있|했|였|되|위해|위한|대한|하는|있는|및|또는|그리고|하지만|때문에)$"
)
_CUT_VERB = re.compile(r"(입니|습니|합니|됩니|있습|됩|합|했습|었습|였습|이에|이었|예)$")
_SENTENCE_END = re.compile(r"(?<=[.!?…~])\s+|\n+")
_CLOSED = re.compile(r"[.!?…~。)\]\"'”’」』>^♡♥☺0-9ㅋㅎㅠㅜ\U0001f300-\U0001faff\u2600-\u27bf]$")
_NOISE_SHARE = 0.6  # of the letter pairs within words; in fluent Korean on other topics under half of them are unknown
_FEWEST_PAIRS = 6


def sentences(text: str) -> list[str]:
    """Split a text into its sentences; punctuation is kept."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the start and end of every sentence of `text`, in order."""
    bounds = [0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]
    return [(start, end) for start, end in pairwise(bounds) if text[start:end].strip()]


def letter_pairs(text: str) -> list[str]:
    """Return the pairs of neighbouring Hangul syllables within words."""
    return [word[i : i + 2] for word in re.findall(r"[가-힣]+", text) for i in range(len(word) - 1)]


def finished_part(text: str) -> str:
    """Return `text` without its last sentence if that was cut off and complete sentences come before it."""
    parts = sentences(text)
    if len(parts) > 1 and _is_open(parts[-1]):
        return " ".join(parts[:-1])
    return text


def _is_open(sentence: str) -> bool:
    return not _CLOSED.search(sentence) and (bool(_CUT_VERB.search(sentence)) or not _FINAL_ENDING.search(sentence))


def defect(text: str, known_pairs: AbstractSet[str]) -> str | None:
    """Name what makes `text` malformed, or None: empty, residue, jamo, headless, loop, english, syllables or noise.

    A headless text begins with the end of another sentence (". 음악을"), or has an ending without a stem ("바로 '았어요").
    `known_pairs` are the letter pairs (:func:`letter_pairs`) of fluent Korean about the world. Cut-off sentences are found by
    :func:`is_cut_off`, because that depends on the names in the sentence.
    """
    letters = [char for char in text if char.isalnum()]
    if not letters:
        return "empty"
    if _RESIDUE.search(text):
        return "residue"
    if len(_LOOSE_JAMO.findall(text)) >= 2:
        return "jamo"
    if _HEADLESS.search(text):
        return "headless"
    if _loops(text):
        return "loop"
    if _is_english(text):
        return "english"
    if _has_odd_syllables(text):
        return "syllables"
    pairs = letter_pairs(text)
    unknown = sum(pair not in known_pairs for pair in pairs)
    return "noise" if len(pairs) >= _FEWEST_PAIRS and unknown > _NOISE_SHARE * len(pairs) else None


def is_cut_off(text: str, vocabulary: str) -> bool:
    """Return whether an answer ends in the middle of a sentence: after a particle, a stem or a word of the question.

    `vocabulary` is a text with the words of the relation (수도, 도시). An answer that ends with one of these words has not named an
    object yet. An answer that ends with another noun is a short answer.
    """
    if _CLOSED.search(text):
        return False
    if _CUT_VERB.search(text):
        return True
    if _FINAL_ENDING.search(text):
        return False
    last = text.split()[-1]
    return bool(_OPEN_ENDING.search(last)) or last in vocabulary


def _loops(text: str) -> bool:
    words = text.split()
    for size in range(1, min(12, len(words) // 3) + 1):
        repeats = 4 if size == 1 else 3
        matching = 0  # words in a row that equal the word `size` places before
        for before, word in zip(words, words[size:], strict=False):
            matching = matching + 1 if word == before else 0
            if matching >= size * (repeats - 1):
                return True
    match = _CHARACTER_LOOP.search(text)
    return match is not None and not set(match.group(1)) <= _LAUGHTER


def _is_english(text: str) -> bool:
    hangul = len(re.findall(r"[가-힣]", text))
    words = re.findall(r"[A-Za-z]{2,}", text)
    return len(words) >= 3 and sum(map(len, words)) > hangul


def _has_odd_syllables(text: str) -> bool:
    """Return whether over a tenth of the syllables are outside KS X 1001; Korean rarely uses those."""
    syllables = re.findall(r"[가-힣]", text)
    # Python's euc_kr codec writes the 2,350 common syllables in two bytes and all others in eight.
    odd = sum(len(char.encode("euc_kr")) != 2 for char in syllables)
    return odd >= 2 and odd > 0.1 * len(syllables)

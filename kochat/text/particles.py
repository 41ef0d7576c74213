"""Choose Korean particles by the last sound of the word before them: 서울은 but 파리는, 서울로 but 부산으로."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

Final = Literal["none", "rieul", "other"]

_FIELD = re.compile(r"\{(\w+)(?::([^{}]*))?\}")
# (after a consonant, after a vowel). Pairs of the shapes 이X/X and 으X/X need no entry.
_PAIRS = [("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"), ("으로", "로"), ("아", "야")]
_CONTRACTED = [("이에요", "예요"), ("이어요", "여요"), ("이었", "였"), ("이어서", "여서")]
_PARTICLES = {frozenset(pair): pair for pair in _PAIRS + _CONTRACTED}

_DIGIT_FINALS: dict[str, Final] = dict(
    zip(
        "0123456789",
        ("other", "rieul", "none", "other", "none", "none", "other", "rieul", "rieul", "none"),
        strict=True,
    )
)
_LETTER_NAME_FINALS: dict[str, Final] = {"l": "rieul", "r": "rieul", "m": "other", "n": "other"}  # 엘, 알, 엠, 엔
_UNIT_FINALS: dict[str, Final] = {"kg": "other", "mg": "other", "g": "other"}  # 그램; metres and litres end in a vowel
_NUMBER = re.compile(r"(?<![\d.])(\d[\d,]*)$")
_UNIT = re.compile(r"\d\s?(km|cm|mm|m|kg|mg|g|ml|l)$")
_LATIN = re.compile(r"[A-Za-z]+$")
_CONSONANT_LETTERS = "ㄱㄲㄳㄴㄵㄶㄷㄸㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅃㅄㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"


def fill(template: str, **words: object) -> str:
    """Fill `{name}` with a word and `{name:은/는}` with the word and the right particle.

    The two forms may be in either order, and one may be empty (`{s:이/}라고` gives 서울이라고 and 파리라고). Known pairs:
    은/는 이/가 을/를 과/와 으로/로 아/야 이에요/예요 이어요/여요 이었/였 이어서/여서 and every pair 이X/X (이나/나,
    이랑/랑) and 으X/X (으며/며).

    Raises:
        KeyError: if a name has no word.
        ValueError: if a pair is unknown.
    """

    def replace(match: re.Match[str]) -> str:
        name, pair = match.groups()
        word = str(words[name])
        return word if pair is None else word + particle(word, pair)

    return _FIELD.sub(replace, template)


def particle(word: str, pair: str) -> str:
    """Return the form of `pair` ("은/는", in either order) that follows `word`. Raises ValueError for an unknown pair."""
    after_consonant, after_vowel = _ordered(pair)
    final = final_sound(word)
    if final == "none" or (final == "rieul" and after_consonant.startswith("으로")):
        return after_vowel
    return after_consonant


def _ordered(pair: str) -> tuple[str, str]:
    first, slash, second = pair.partition("/")
    known = _PARTICLES.get(frozenset((first, second)))
    if known:
        return known
    if slash and first == "이" + second:
        return first, second
    if slash and second == "이" + first:
        return second, first
    if slash and first == "으" + second:
        return first, second
    if slash and second == "으" + first:
        return second, first
    raise ValueError(f"unknown particle pair {pair!r}; write it like 은/는, 이/가, 을/를, 으로/로, 이나/나")


def final_sound(word: str) -> Final:
    """Return the last sound of `word` when read aloud in Korean: "none" (a vowel), "rieul" (ㄹ) or "other" (another consonant).

    Trailing punctuation, quotes and brackets are ignored. Digits, units after digits and Latin words are read as in Korean; words in
    capitals are spelled letter by letter. A word without a readable character counts as ending in a vowel.
    """
    word = unicodedata.normalize("NFC", word)
    while word and not (word[-1].isalnum() or word[-1] in "%℃°"):
        word = word[:-1]
    if not word:
        return "none"
    last = word[-1]
    if "가" <= last <= "힣":
        return _syllable_final(last)
    if last in _DIGIT_FINALS:
        return _number_final(word)
    if last.isascii() and last.isalpha():
        return _latin_final(word)
    if last in _CONSONANT_LETTERS:  # a letter's own name: 기역, 리을
        return "rieul" if last == "ㄹ" else "other"
    return "none"  # %, ℃ and vowel letters end in a vowel when read; the sound of other scripts is unknown


def _syllable_final(syllable: str) -> Final:
    index = (ord(syllable) - ord("가")) % 28  # 28 finals a vowel, 0 for none and 8 for ㄹ (Unicode 3.12)
    return "none" if index == 0 else "rieul" if index == 8 else "other"


def _number_final(word: str) -> Final:
    match = _NUMBER.search(word)
    digits = match.group(1).replace(",", "") if match else ""
    zeros = len(digits) - len(digits.rstrip("0"))
    if 12 <= zeros < 16 and not digits.startswith("0"):
        return "none"  # 조 is the only power of ten here that ends in a vowel; 십 백 천 만 억 경 do not
    return _DIGIT_FINALS[word[-1]]


def _latin_final(word: str) -> Final:
    unit = _UNIT.search(word)
    if unit:
        return _UNIT_FINALS.get(unit.group(1), "none")
    match = _LATIN.search(word)
    letters = match.group() if match else word[-1]
    if letters.isupper() or len(letters) == 1:
        return _LETTER_NAME_FINALS.get(letters[-1].lower(), "none")
    return _english_final(letters.lower())


def _english_final(letters: str) -> Final:
    """Guess the last sound of an English word in Hangul: a consonant in 구글, 크롬, 파이썬, 인터넷, a vowel in 테스트, 컴퓨터."""
    if re.search("(l|[^aeiou]le|[aeiou]le)$", letters):
        return "rieul"
    if re.search("(m|n|ng|[aeiou]me|[aeiou]ne|ck|[aeiou][bckpt])$", letters):
        return "other"
    return "none"

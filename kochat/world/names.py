"""Find names in Korean sentences: 인도 in "인도는" and "인도예요", not in "인도네시아" or "인도양".

A name counts only at the start of a word, and only if particles, a form of the copula or a common suffix follow it up to the end of
the word. If two names begin at the same position, the longer one is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# Endings that may follow a noun up to the end of the word.
_CASE = (
    "은|는|이|가|을|를|과|와|의|에|에서|에게|에게서|께|께서|한테|으로|로|로서|로써|으로서|으로써|도|만|까지|부터|처럼|보다"
    "|뿐|마다|조차|마저|밖에|이나|나|이랑|랑|하고|요|들|시|씨|님|쯤|정도|라|경|대|산|껏"
)
_COPULA = (
    "입니[가-힣]{1,3}|이[가-힣]{1,4}|인|인데|인데요|일|임|에요|예요|여요|어요|였[가-힣]{1,4}|다|고|고요|며|자|지|지요|죠|지만"
    "|야|네|네요|군요|구나|란|란다|라[가-힣]{1,4}|랍니다|래요|잖아요|거든요|니까|든지|든|인지|일지|일까|일까요|인가|인가요|일지도|뿐이[가-힣]{1,3}"
)
_LIGHT_VERB = "하[가-힣]{1,3}|했[가-힣]{1,4}|한|합니다|해[가-힣]{0,2}|된|됐[가-힣]{1,3}|되[가-힣]{1,4}|됩니다"
_TAIL = rf"(?=(?:{_CASE}){{0,3}}(?:{_COPULA}|{_LIGHT_VERB})?(?![가-힣A-Za-z0-9]))"
_HEAD = r"(?<![가-힣A-Za-z0-9])"
_COMPASS = "(?:동|서|남|북|동남|동북|서남|서북|중앙)?"  # 남유럽 lies in 유럽
_INNER_PARTICLE = r"(?:은|는|이|가|을|를|의|에|과|와)?\s*"


class Mention(NamedTuple):
    """A name found in a text: its spelling in the tables, and its start and end in characters (end exclusive)."""

    name: str
    start: int
    end: int


class NameFinder:
    """Find any of `names` as separate words in a text; longer names come first."""

    def __init__(self, names: Iterable[str]) -> None:
        ordered = sorted(set(names), key=lambda name: (-len(name.replace(" ", "")), name))
        self._names = {f"n{index}": name for index, name in enumerate(ordered)}
        groups = "|".join(f"(?P<{group}>{_pattern(name)})" for group, name in self._names.items())
        self._regex = re.compile(rf"{_HEAD}(?:{groups}){_TAIL}")

    def find(self, text: str) -> list[Mention]:
        """Return the mentions in `text` from left to right; they do not overlap."""
        return [
            Mention(self._names[str(match.lastgroup)], match.start(), match.end())
            for match in self._regex.finditer(text)
        ]


def _pattern(name: str) -> str:
    """Return a pattern that allows spaces within long names, and particles between the words of a phrase."""
    words = name.split()
    gap = r"\s?" if len("".join(words)) >= 3 or re.fullmatch(r"\d+[가-힣]+", name) else ""
    pattern = _INNER_PARTICLE.join(gap.join(map(re.escape, _syllables(word))) for word in words)
    if len(words[0]) > 1 and "가" <= name[0] <= "힣":
        pattern = f"{_COMPASS}{pattern}"
    # Upper and lower case distinguish symbols of elements (Co, CO), but not longer Latin names.
    return f"(?i:{pattern})" if name.isascii() and len(name) > 3 else pattern


def _syllables(word: str) -> list[str]:
    """Split a word where a writer may put a space: between Hangul syllables, but not within digits or Latin letters."""
    return re.findall(r"[가-힣]|[^가-힣]+", word)

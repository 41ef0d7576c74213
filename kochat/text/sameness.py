"""Distinguish two texts that say the same from two that only look similar.

프랑스의 수도는? and 독일의 수도는? have most letters in common but ask different things; so do 3 더하기 5 and 3 더하기 6. Copies of
one text may differ only in parts without content: punctuation, spacing, fillers (저기, 혹시, 음), the particles of topic, subject,
object and genitive, laughter (ㅋㅋ) and tears (ㅠㅠ). In long texts a few additional words are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

# A number or a foreign word includes the particle after it.
_WORD = re.compile(
    r"(?:\d+(?:[.,:]\d+)*|[^\W\d_가-힣ㄱ-ㅣ]+)[가-힣]*|[가-힣]+|[ㄱ-ㅣ]+|[+*/×÷=<>^%]|(?<=[\d)])\s*-(?=\s*[\d(])"
)
# Interjections, discourse markers and adverbs of tone: without them the tone changes, but not the content.
_FILLERS = """
저기 저기요 있잖아 있잖아요 음 으음 흠 어 아 오 와 에 헐 글쎄 글쎄요 자 야 네 예 응 뭐랄까 혹시 혹시나 그런데 근데 그럼 그러면 그래서
그리고 그러니까 그니까 그냥 좀 조금 한번 제발 부디 도대체 대체 정말 정말로 진짜 진짜로 참 아주 매우 무척 굉장히 너무 하하 호호 히히 헤헤
아하
"""
_FILLER_WORDS = frozenset(_FILLERS.split())
_TONE = re.compile("[ㅋㅎㅠㅜㅡ]+")
_NEGATIONS = "안 못 않 않은 않는 않다 없는 없다 없이 아닌 아니 아니다 말고 빼고 제외하고"
_NEVER_EXTRA = frozenset(_NEGATIONS.split())
_PARTICLES = {
    "은": "topic",
    "는": "topic",
    "이": "subject",
    "가": "subject",
    "을": "object",
    "를": "object",
    "의": "of",
}
_EXTRA_SHARE = 0.05
_LONGEST_ALIGNED = 400  # words; alignment takes quadratic time


def same_content(first: Sequence[str], second: Sequence[str]) -> bool:
    """Return whether two texts, given as their :func:`content_words`, have the same words in the same order.

    One word in twenty may be additional in either text, but no number, foreign word or negation. No word may replace another. If the part
    between the first and the last difference has over 400 words, the texts count as different.
    """
    start = _common(first, second)
    end = _common(first[start:][::-1], second[start:][::-1])
    middle = first[start : len(first) - end], second[start : len(second) - end]
    if max(map(len, middle)) > _LONGEST_ALIGNED:
        return False
    extra = 0
    for removed, added in _differences(*middle):
        if _plain(removed) == _plain(added) or _same_stems(removed, added):
            continue
        if (removed and added) or any(not _may_be_extra(word) for word in (*removed, *added)):
            return False
        extra += len(removed) + len(added)
    return extra <= _EXTRA_SHARE * min(len(first), len(second))


def content_words(text: str) -> list[str]:
    """Return the words, numbers and arithmetic signs of `text` in order, case-folded, without fillers and laughter."""
    words = (match.group().strip().replace(",", "") for match in _WORD.finditer(text.casefold()))
    return [word for word in words if word not in _FILLER_WORDS and not _TONE.fullmatch(word)]


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the number of equal words at the beginning of both."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(len(first), len(second)))


def _differences(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    if min(len(first), len(second)) <= 1 >= abs(len(first) - len(second)):  # the common case needs no alignment
        if first or second:
            yield first, second
        return
    for kind, i, j, k, m in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind != "equal":
            yield first[i:j], second[k:m]


def _plain(words: Sequence[str]) -> str:
    return "".join(words)


def _same_stems(removed: Sequence[str], added: Sequence[str]) -> bool:
    """Return whether the words are the same except for their last particles; subject and object particles stay different."""
    first, second = [_split(word) for word in removed], [_split(word) for word in added]
    if "".join(stem for stem, _ in first) != "".join(stem for stem, _ in second):
        return False
    roles = [{role for _, role in words if role not in ("", "topic")} for words in (first, second)]
    return not (roles[0] and roles[1]) or roles[0] == roles[1]


def _split(word: str) -> tuple[str, str]:
    """Return (stem, role of its particle); the role is empty without a particle. A word of one syllable (이 in 이 가방) has none."""
    role = _PARTICLES.get(word[-1], "") if len(word) > 1 else ""
    return (word[:-1], role) if role else (word, "")


def _may_be_extra(word: str) -> bool:
    return "가" <= word[0] <= "힣" and word not in _NEVER_EXTRA

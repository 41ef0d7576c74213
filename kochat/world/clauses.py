"""Decide whether a Korean clause asserts, denies or doubts the names in it, or reports them as somebody's belief."""

from __future__ import annotations

import re
from enum import Enum
from itertools import pairwise

_CLAUSE_END = re.compile(
    r"(?<=,)\s*(?!\d)|(?<=;)\s*|\n+|(?<=[.!?…~])\s+"
    r"|(?<=지만)\s+|(?<=는데)\s+|(?<=은데)\s+|(?<=인데)\s+|(?<=으나)\s+|(?<=이며)\s+|(?<=으며)\s+|(?<=하며)\s+"
    r"|(?<=아니라)\s+|(?<=아니고)\s+|(?<=아니며)\s+|(?<=아닌)\s+|(?<=말고)\s+"
    r"|(?<![라다자냐하])(?<=[가-힣]고)\s+"
)
_DENIAL = re.compile(
    r"아닙니다|아니(?:라|고|며|에요|예요|어요|죠|지요|지만|야|요|다|었[가-힣]*|랍니다|란다|거든요|네요|기에)(?!\?)"
    r"|아닌(?!가|지|데요\?)|(?<=[가-힣]\s)말고|지 않(?:습니다|아요|았[가-힣]*|는다|다|고|으며|죠)"
    r"|틀[리렸린립][가-힣]*|못(?:했|합)[가-힣]*|거짓|사실무근"
)
_RHETORICAL = re.compile(r"아니(?:에요|예요|야)\s*\?|아닐까|아닌가|않을까|아니겠")
_MISTAKE = re.compile(r"오해|착각|헷갈|혼동|잘못 (?:알|생각|믿)")
_BELIEF = re.compile(r"(?:라고|으로|로)\s?(?:생각|알|여기|믿)[가-힣\s]*(?:지만|는데|으나|나|데),?$")
_DOUBT = re.compile(
    r"(?:인|였는|이었는|일|한|했는|었는|았는|는)지(?:는|도|를)?,?\s*(?:[가-힣]+\s+){0,2}"
    r"(?:잘|모르|모릅|몰라|확실|확인|기억|알 수|알지|정확|자신)"
)
_HEDGE = re.compile(
    r"모르|모릅|몰라|몰랐|모를|확인|찾아\s?[보봐]|검색|기억(?:이|은|도)?\s?(?:잘\s|가물|안|나지)|기억나지|기억하지 못|가물가물"
    r"|글쎄|알\s?수\s?없|알지\s?못|알기\s?어렵|(?:드리|하|답하|대답하|말하|말씀드리)기(?:는|가|엔|에는)?\s?(?:조금\s|좀\s|참\s)?(?:어렵|어려|힘들|곤란)"
    r"|정확(?:히|하게|한|하진|하지는).{0,12}(?:않|어렵|없|못)|자신(?:이|은)?\s?없|확실(?:하지|치|하진|하게).{0,8}[않못]|헷갈|생각(?:이|은)?\s?(?:안\s?나|나지)"
    r"|생각해\s?[보봐]|알아\s?[보봐볼]|공부해|배워|정보가 (?:없|부족)|어려운 질문|답변? ?드릴 수 없|대답할 수 없|답할 수 없|물어보"
)


class Stance(Enum):
    """What a clause does with the names in it."""

    ASSERTED = "asserted"
    DENIED = "denied"
    REPORTED = "reported"  # a belief that the next clause contradicts
    DOUBTED = "doubted"


def clause_spans(text: str) -> list[tuple[int, int]]:
    """Return the start and end of every clause of `text`, in order."""
    bounds = [0, *(match.end() for match in _CLAUSE_END.finditer(text)), len(text)]
    return [(start, end) for start, end in pairwise(bounds) if text[start:end].strip()]


def stance(clause: str) -> Stance:
    """Return the stance of `clause` to the names in it; "파리가 아닐까요?" is a polite assertion."""
    clause = clause.strip()
    if _DOUBT.search(clause):
        return Stance.DOUBTED
    if _DENIAL.search(clause) and not _RHETORICAL.search(clause):
        return Stance.DENIED
    if _MISTAKE.search(clause):
        return Stance.DENIED
    return Stance.REPORTED if _BELIEF.search(clause) else Stance.ASSERTED


def hedges(text: str) -> bool:
    """Return whether `text` says that the speaker does not know, or tells the reader to look it up."""
    return bool(_HEDGE.search(text))

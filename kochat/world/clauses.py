"""Decide whether a Korean clause asserts, denies or doubts the names in it, or reports them as somebody's belief."""

from __future__ import annotations

import re
from enum import Enum
from itertools import pairwise

_CLAUSE_END = re.compile(
    r"(?<=,)\s*(?!\d)|(?<=;)\s*|\n+|(?<=[.!?…~])\s+"
    r"|(?<=지만)\s+|(?<=는데)\s+|(?<=은데)\s+|(?<=인데)\s+|(?<=으나)\s+|(?<=이며)\s+|(?<=으며)\s+|(?<=하며)\s+"
    r"|(?<=아니라)\s+|(?<=아니고)\s+|(?<=아니며)\s+|(?<=아닌)\s+|(?<=말고)\s+"
    r"|(?<=[가-힣]고)(?<![라다자냐하]고)\s+"
)
_DENIAL = re.compile(
    r"아닙니다|아니(?:라|고|며|에요|예요|어요|죠|지요|지만|야|요|다|었[가-힣]*|랍니다|란다|거든요|네요|기에)(?!\?)"
    r"|아닌(?!가|지|데요\?)|(?<=[가-힣]\s)말고|지 않(?:습니다|아요|았[가-힣]*|는다|다|고|으며|죠)"
    r"|틀[리려렸린릴립][가-힣]*|못(?:했|합)[가-힣]*|거짓|사실무근"
)
_RHETORICAL = re.compile(r"아니(?:에요|예요|야)\s*\?|아닐까|아닌가|않을까|아니겠")
_MISTAKE = re.compile(r"오해|착각|헷갈|혼동|잘못 (?:알|생각|믿)")
_BELIEF = re.compile(
    r"(?:라고|다고|다는|라는|으로|로)\s?(?:흔히 |잘못 |많이 )?(?:생각|알|아는|여기|믿|말|이야기|소문|주장|의견|사람|전해)[가-힣\s]*"
    r"(?:지만|는데|은데|으나|나|데),?$"
)
_DOUBT = re.compile(
    r"(?:인|였는|이었는|일|한|했는|었는|았는|는)지(?:는|도|를)?,?\s*(?:[가-힣]+\s+){0,2}"
    r"(?:잘|모르|모릅|몰라|확실|확인|기억|알 수|알지|정확|자신)"
)
_NOT_KNOWN = re.compile(
    r"모르(?:겠|는 (?:내용|것|일|사실|부분)|는데|지만|네|죠|지요|니)|모른다|모릅니다|몰라[요서]?(?![가-힣])|몰랐"
    r"|기억(?:이|은|도|까지는)?\s?(?:잘\s|가물|안|나지|없)|기억나지|기억하지 못|가물가물|생각(?:이|은)?\s?(?:안\s?나|나지)"
    r"|떠오르지|잊(?:었|어버렸|어 버렸)"
    r"|글쎄|알\s?수\s?없|알지\s?못|알기\s?어렵|헷갈|아는 (?:것|게|바)[이가]? ?없|것만 알아|들어 본 적이? 없"
    r"|(?:드리|하|답하|대답하|말하|말씀드리)기(?:는|가|엔|에는)?\s?(?:조금\s|좀\s|참\s)?(?:어렵|어려|힘들|곤란)"
    r"|정확(?:히|하게|한|하진|하지는).{0,12}(?:않|어렵|없|못)|자신(?:이|은)?\s?없(?!어지)|확실(?:하지|치|하진|하게).{0,8}[않못]"
    r"|배우지 (?:못|않)|배운 적이? 없|공부가 더 필요|공부해야|정보가 (?:없|부족)|어려운 질문"
    r"|(?:답|답변|대답)(?:은|을)? ?(?:드릴|할) 수 없|답할 수 없"
    r"|저도 (?:참 )?궁금|(?:는지|인지|일지)(?:는|도)? (?:저도 |참 )?궁금하"
)
_LOOK_UP = re.compile(
    r"찾아\s?(?:보[시세는아면려]|봐|볼|봤|봅|주)|검색해|확인(?:해|하[시세는면고]|한|이|을|부터)|알아\s?(?:보[시세는아]|봐|볼|봤|봅)"
    r"|(?:책|사전|지도|도감|달력|악보|주기율표|인터넷|백과사전|교과서)(?:을|를|에서|에) ?(?:한번 |직접 )?"
    r"(?:찾|펴|확인|뒤져|참고|보시|보면|보세요|나와|나올)"
    r"|(?:책|사전|도감|달력|악보)에 (?:자세히 )?나와"
    r"|(?:선생님|전문가|병원|박물관|도서관)(?:께|에게|에|에서|한테) (?:한번 )?(?:물어|여쭤|여쭈)"
)
_ALTERNATIVES = re.compile(r"[가-힣]이?나 \S+ (?:중|가운데)|\S\s?(?:아니면|혹은|또는) \S|[가-힣]인지 \S+인지")


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


def says_not_to_know(text: str) -> bool:
    """Return whether `text` says that the speaker does not know or does not remember."""
    return bool(_NOT_KNOWN.search(text))


def says_to_look_up(text: str) -> bool:
    """Return whether `text` tells the reader to look something up, or says that the speaker will."""
    return bool(_LOOK_UP.search(text))


def leaves_open(text: str) -> bool:
    """Return whether `text` names alternatives ("파충류 아니면 양서류") without a decision."""
    return bool(_ALTERNATIVES.search(text))

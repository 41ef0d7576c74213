"""Recognise placeholders that anonymisation put in place of a name or a number: #주소#, name1, OOO."""

from __future__ import annotations

import re

from kochat.cleaning.rule_kinds import Dirt, Part, TextRule, Thresholds, Words

# #주소# but not hashtags in a row (#봄#여름#가을), where each mark ends one tag and begins the next.
_HASH = re.compile(r"#(@?[가-힣A-Za-z_]{1,12}\d{0,2})#")
_HASHTAGS = re.compile(r"(?:#[^\s#]+){3,}")
# The masks of the National Institute of Korean Language's and AI-Hub's corpora, with or without their ampersands.
_MASK = re.compile(
    r"(?<![A-Za-z&_.-])&?(?:name|company-name|address|affiliation|account|bank-account|card-num|tel-num|num|online-account"
    r"|social-security-num|others)\d{1,3}&?(?![A-Za-z0-9_(=\[])"
)
_BLANKED = re.compile(
    r"(?<![A-Za-z0-9])(?:[○◯〇]{2,}|ㅇ{2,}|O{3,}|X{3,}|\*{3,}|0{3})(?=\s?(?:님|씨)|시 |구 |동 |과장|대리|선생|고객|회사)"
)
# A letter or a form has brackets for the reader to fill in, but it is long; a short answer has none.
_BRACKETS = re.compile(
    r"[\[{<](?:[가-힣]{1,4} ?)?(?:이름|성명|성함|회사명|주소|전화번호|연락처|이메일|날짜|직책|계좌번호|name)[\]}>]",
    re.IGNORECASE,
)
_SHORT = 100
_LONGEST = 1000
_CODE = re.compile(r"```|[{};]\s*\n|\w\(\)|\bdef |\bprint\b|코드|변수|함수")


def anonymised(text: str) -> str | None:
    """Return why `text` holds a placeholder, or None.

    Brackets to fill in ([이름], {회사명}) count only in texts under 100 characters: a letter with brackets is a good answer. A document
    of over 1,000 characters, such as a court decision, is kept even if a name in it is masked.
    """
    if len(text) > _LONGEST or _CODE.search(text):
        return None
    found = _HASH.search(_HASHTAGS.sub(" ", text)) or _MASK.search(text) or _BLANKED.search(text)
    if found is None and len(text) < _SHORT:
        found = _BRACKETS.search(text)
    return None if found is None else f"{found.group()!r} stands for a name or a number"


def problem(part: Part, thresholds: Thresholds) -> str | None:
    """Judge any text."""
    return anonymised(part.text)


RULES = (
    TextRule(
        name="placeholder",
        order=340,
        does="a placeholder that anonymisation put in place of a name or number: #이름#, name1, OOO님",
        words=Words("익명 처리 자국(#이름# 등)", "placeholder (name1 and the like)"),
        problem=problem,
        planted=(Dirt("placeholder"),),
    ),
)

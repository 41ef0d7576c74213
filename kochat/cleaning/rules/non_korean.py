"""Recognise foreign prose in place of Korean. Names, titles, code and a foreign text that the prompt asks for are kept."""

from __future__ import annotations

import re

from kochat.cleaning.rule_kinds import Dirt, Part, TextRule, Threshold, Thresholds, Words

_HANGUL = re.compile("[가-힣ㄱ-ㅣ]")
_LETTER = re.compile(r"[^\W\d_]")
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ÿ]+(?:['’][a-z]+)?")
_CODE = re.compile(
    r"```|[{};]\s*\n|=>|==|\w\(\)|://|</\w|#include|\b(?:def|function|class)\s+\w+\s*[({:]|^import \w|\bprintf?\("
    r"|\breturn\b[^.\n]{0,80};|\bSELECT\b.{1,80}\bFROM\b",
    re.MULTILINE,
)
_MATHS = re.compile(r"[=+×÷^√∑∫]")
# An answer may be foreign if the prompt mentions a language, words or code, or itself contains foreign words.
_ASKED_FOR = re.compile(
    r"영어|영문|영작|번역|외국어|일본어|일어|중국어|한자|프랑스어|불어|독일어|스페인어|러시아어|라틴어|이탈리아어|로마자|알파벳|철자|스펠링|문법|문장"
    r"|단어|발음|가사|코드|함수|프로그램|스크립트|쿼리|명령어|정규식|파이썬|자바|translat|english",
    re.IGNORECASE,
)
_FUNCTION = """
the a an of to in is are was were be been and or not it its this that these those i you he she they we his her their our
your my me him them us with for on at by from as but if so do does did have has had will would can could should there here
what which who when where how why because than then about into after before
"""
_FUNCTION_WORDS = frozenset(_FUNCTION.split())
_LEAST_WORDS = 4
_LEAST_LETTERS = 12  # in a script that is neither Hangul nor Latin
_HANGUL_IN_PROMPT = 4


def foreign(text: str, min_hangul: float, prompt: str = "") -> str | None:
    """Return why `text` is foreign prose in place of Korean, or None.

    Two conditions must hold. The share of Hangul among its letters is below `min_hangul` (0 to 1). And it is prose: at least four Latin
    words, most of them in lower case and one a function word (so not names, titles, code or formulas), or at least twelve letters of
    another script. An answer may be foreign if its `prompt` asks for a language or code, or contains foreign words.
    """
    letters = len(_LETTER.findall(text))
    hangul = len(_HANGUL.findall(text))
    if not letters or hangul >= min_hangul * letters:
        return None
    if _ASKED_FOR.search(prompt) or len(_LATIN_WORD.findall(prompt)) >= _LEAST_WORDS:
        return None
    words = _LATIN_WORD.findall(text)
    other = letters - hangul - sum(map(len, words))
    if other < _LEAST_LETTERS and not _is_prose(text, words):
        return None
    return f"{hangul} of {letters} letters are Hangul, fewer than {min_hangul:.0%}"


def foreign_prompt(text: str, min_hangul: float) -> str | None:
    """Return why a prompt is foreign prose, or None; a Korean request about a foreign text is a Korean prompt."""
    return None if len(_HANGUL.findall(text)) >= _HANGUL_IN_PROMPT else foreign(text, min_hangul)


def _is_prose(text: str, words: list[str]) -> bool:
    if len(words) < _LEAST_WORDS or _CODE.search(text):
        return False
    if len(_MATHS.findall(text)) * 4 > len(words):
        return False
    lower = sum(word.islower() for word in words)
    function = sum(word.lower() in _FUNCTION_WORDS for word in words)
    return lower * 2 > len(words) and function > 0


def problem(part: Part, thresholds: Thresholds) -> str | None:
    """Judge a prompt, an answer together with its prompt, or a corpus text."""
    if part.of == "prompt":
        return foreign_prompt(part.text, thresholds[MIN_HANGUL])
    return foreign(part.text, thresholds[MIN_HANGUL], part.prompt)


MIN_HANGUL = "min_hangul"  # prose with a smaller share of Hangul among its letters is foreign
RULES = (
    TextRule(
        name="non_korean",
        order=320,
        does="foreign prose that the prompt does not ask for; names, titles, code and formulas stay",
        words=Words("한국어가 아닌 글", "not Korean"),
        problem=problem,
        thresholds=(Threshold(MIN_HANGUL, 0.1, "share"),),
        planted=(Dirt("english_noise", Words("영어 잡음", "English noise")),),
    ),
)

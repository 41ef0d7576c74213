"""Each edit does its one thing, leaves language alone, and the whole is a fixed point."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kochat.cleaning.rule_kinds import Bounds, LengthRule
from kochat.cleaning.rules import of_kind
from kochat.cleaning.rules.stray_quotes import strip_stray_quotes
from kochat.cleaning.rules.whitespace import tidy_whitespace
from kochat.cleaning.text_edits import edit
from kochat.text.residue import strip_residue
from kochat.text.unicode_form import prompt_key


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  안녕   하세요 \t ", "안녕 하세요"),
        ("가\u00a0\u3000나", "가 나"),
        ("가  \n\n\n\n나", "가\n\n나"),
        ("목록:\n  - 하나\n  - 둘  셋", "목록:\n  - 하나\n  - 둘 셋"),
        ("ㅋㅋ ㅠㅠ", "ㅋㅋ ㅠㅠ"),
    ],
)
def test_whitespace(raw: str, expected: str) -> None:
    assert tidy_whitespace(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("'저는 챗봇입니다.", "저는 챗봇입니다."),
        ('"안녕하세요"', "안녕하세요"),
        ("“안녕하세요”", "안녕하세요"),
        ("\"'안녕'\"", "안녕"),
        ('안녕하세요"', "안녕하세요"),
        ("\"O형\".", '"O형".'),
        ("'빅 대디'는 누구야?", "'빅 대디'는 누구야?"),
        ("'가'와 '나'", "'가'와 '나'"),
        ("'90년대 음악", "'90년대 음악"),
        ('화면은 24"', '화면은 24"'),
        ('"1989년에 나온 책은?', "1989년에 나온 책은?"),
        ("Don't stop", "Don't stop"),
        ("'I don't know", "I don't know"),
        ("'", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_stray_quotes(raw: str, expected: str) -> None:
    assert strip_stray_quotes(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("파리입니다. token: 12", "파리입니다."),
        ("파리입니다.\ntokens: 12", "파리입니다."),
        ("파리입니다.', 'token': 47}", "파리입니다."),
        ("파리입니다. (Token = 9)", "파리입니다."),
        ("파리입니다. 토큰: 3 token: 4", "파리입니다."),
        ("\"'가'는 누구?\", 'completion': \"몰라요.\", 'token': 47}", "\"'가'는 누구?"),
        ("token: 12는 무슨 뜻이야?", "token: 12는 무슨 뜻이야?"),
        ("max_tokens: 256", "max_tokens: 256"),
    ],
)
def test_residue(raw: str, expected: str) -> None:
    assert strip_residue(raw) == expected


def test_edits_are_named_in_order() -> None:
    assert edit("\ufeff '그래요  좋아요. token: 7 ") == (
        "그래요 좋아요.",
        ["unicode", "whitespace", "residue", "stray_quotes"],
    )
    assert edit("심심해 ㅋㅋ") == ("심심해 ㅋㅋ", [])


def test_a_prompt_that_swallowed_its_record_is_recovered() -> None:
    raw = "\"'빅 대디' 는 누구?\", 'completion': \"모릅니다.\", 'token': 102}"
    assert edit(raw)[0] == "'빅 대디' 는 누구?"
    assert prompt_key(raw) == prompt_key("'빅 대디' 는 누구?") == "빅대디는누구"


def found(text: str, bounds: Bounds) -> dict[str, str]:
    reasons = ((rule.name, rule.problem(text, bounds)) for rule in of_kind(LengthRule))
    return {name: reason for name, reason in reasons if reason}


def test_bounds() -> None:
    bounds = Bounds(2, 5)
    assert found("", bounds) == {"empty": "no text"}
    assert found("네", bounds) == {"too_short": "1 characters, fewer than 2"}
    assert found("심심해", bounds) == {}
    assert found("너무나도길다", bounds) == {"too_long": "6 characters, more than 5"}
    assert found("", Bounds(0)) == {}


@given(st.text(alphabet=st.characters()))
def test_edit_never_raises_and_is_idempotent(text: str) -> None:
    once, _ = edit(text)
    assert edit(once) == (once, [])
    assert prompt_key(once) == prompt_key(text)


@given(st.text(alphabet="'\"“” \n\ttoken:1,}가I.\u200b\u1100", max_size=24))
def test_edit_is_idempotent_on_dirt(text: str) -> None:
    once, _ = edit(text)
    assert edit(once) == (once, [])


@pytest.mark.parametrize("run", [" ", "\t", "\n ", "'", '"', "\u200d", "token:1 ", "token: "])
def test_long_runs_take_linear_time(run: str) -> None:
    edit(run * 20_000 + "가")
    edit("가" + run * 20_000)

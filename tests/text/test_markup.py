"""Markup and special tokens go from running text and stay where a text is about them."""

import pytest

from kochat.cleaning.text_edits import edit
from kochat.text.markup import strip_markup, strip_special_tokens


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("<p>안녕</p>", "\n안녕\n"),
        ("첫 줄<br/>둘째 줄", "첫 줄\n둘째 줄"),
        ("<B>굵게</B> 쓴 <span class='a'>말</span>", "굵게 쓴 말"),
        ("가&nbsp;나 &amp;amp; 다", "가 나 & 다"),
        ("&#44032;&#x27;", "가'"),
        ("<b<b>>안녕", "안녕"),
        ("가<!-- 숨은 말 -->나", "가나"),
        ("1 < 2 이고 3 > 2", "1 < 2 이고 3 > 2"),
        ("<강남스타일>을 불러 줘", "<강남스타일>을 불러 줘"),
        ("R&D 예산", "R&D 예산"),
        ("HTML에서 <p>는 뭐야?", "HTML에서 <p>는 뭐야?"),
        ("```\n<div>\n```", "```\n<div>\n```"),
        ("&#8203;", "&#8203;"),
        ("HT<b>ML</b> <i>문서</i>", "HT<b>ML</b> <i>문서</i>"),
    ],
)
def test_markup(raw: str, expected: str) -> None:
    assert strip_markup(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("안녕</s>", "안녕"),
        ("안녕<|endoftext|><pad><pad>", "안녕"),
        ("[CLS] 안녕 [SEP]", " 안녕 "),
        ("### Response(응답):안녕", "안녕"),
        ("<<SYS>>안녕[/INST]", "안녕"),
        ("</s> 토큰이 뭐야?", "</s> 토큰이 뭐야?"),
        ("[이름] 님", "[이름] 님"),
        ("<3", "<3"),
    ],
)
def test_special_tokens(raw: str, expected: str) -> None:
    assert strip_special_tokens(raw) == expected


def test_tags_nested_without_end_stay() -> None:
    """Every round would bring about another; the text stays as it was, in linear time."""
    text = "<b>"
    for _ in range(30):
        text = f"&l{text}t;b>"
    assert strip_markup(text) == text


def test_edit_tidies_up_after_markup() -> None:
    assert edit("<p>안녕&nbsp;</p>") == ("안녕", ["markup", "whitespace"])
    assert edit("&quot;안녕&quot;</s> token: 3") == ("안녕", ["markup", "special_tokens", "residue", "stray_quotes"])

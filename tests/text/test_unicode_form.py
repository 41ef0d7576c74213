"""Text reaches one Unicode form, and a prompt's key survives cleaning."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from kochat.text.unicode_form import display, normalise, prompt_key


def test_decomposed_hangul_is_composed() -> None:
    assert normalise(unicodedata.normalize("NFD", "안녕하세요")) == "안녕하세요"


def test_never_nfkc() -> None:
    assert normalise("ㅋㅋ ㅠㅠ ① ㎞ Ａ") == "ㅋㅋ ㅠㅠ ① ㎞ Ａ"


def test_conjoining_jamo_come_back_as_compatibility_jamo() -> None:
    assert display(unicodedata.normalize("NFKC", "ㅋㅋㅋ 그래 ㅠㅠ ㄱㅅ")) == "ㅋㅋㅋ 그래 ㅠㅠ ㄱㅅ"
    assert display("\u11a8") == "ㄱ"
    assert display("\u11aa") == "ㄳ"


def test_archaic_hangul_is_kept_whole() -> None:
    archaic = "\u1112\u119e\u11ab"
    assert normalise(archaic) == archaic


def test_invisible_characters_go_and_line_breaks_are_one() -> None:
    assert normalise("\ufeff가\u200b나\u200d다\x00\x07라\u3164\ud800") == "가나다라"
    assert normalise("a\r\nb\rc\u2028d\x85e") == "a\nb\nc\nd\ne"
    assert normalise("a\tb") == "a\tb"


def test_emoji_families_stay_together() -> None:
    assert normalise("👨‍👩‍👧 좋아") == "👨‍👩‍👧 좋아"


def test_prompt_key_ignores_marks_spaces_and_case() -> None:
    assert prompt_key("  '시카고 오헤어 Airport는 어디에 있어?' ") == "시카고오헤어airport는어디에있어"
    assert prompt_key("심심해 ㅋㅋ") == "심심해ㅋㅋ"
    assert prompt_key("?? !") == "??!"
    assert prompt_key("") == ""


@given(st.text(alphabet=st.characters()))
def test_idempotent_and_encodable(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    once.encode("utf-8")
    assert prompt_key(once) == prompt_key(text)


@given(st.text(alphabet="\u1100\u110f\u1161\u1172\u11a8\u119eㅋ가\u0300\u200b\u200d\ufe0f👨", max_size=12))
def test_idempotent_on_jamo_and_joiners(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once

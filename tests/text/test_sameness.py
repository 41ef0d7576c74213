"""Fillers, particles, spacing and punctuation may differ; nouns, numbers, roles, negation and order may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kochat.text.sameness import content_words, same_content


def same_words(one: str, other: str) -> bool:
    return same_content(content_words(one), content_words(other))


LONG = "물을 끓이고 면을 넣고 스프를 넣고 달걀을 풀고 파를 썰어 올리고 삼 분을 더 끓인 다음 불을 끄고 그릇에 담아 맛있게 먹으면 됩니다"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("저기, 프랑스의 수도는 어디야?", "프랑스의 수도는 어디야!"),
        ("프랑스의 수도는 어디야?", "프랑스 수도 어디야?"),
        ("뭐 먹지", "뭐먹지?"),
        ("혹시 Python이 뭐야?", "Python은 뭐야 ㅋㅋ"),
        ("사과 1,000 개", "사과 1000개"),
        (LONG, LONG.replace("먹으면", "모두 먹으면")),
    ],
)
def test_the_same(one: str, other: str) -> None:
    assert same_words(one, other)
    assert same_words(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("프랑스의 수도는 어디야?", "독일의 수도는 어디야?"),
        ("3 더하기 5는?", "3 더하기 6은?"),
        ("3+5는?", "3-5는?"),
        ("엄마가 좋아", "엄마를 좋아"),
        ("서울에서 부산까지", "부산에서 서울까지"),
        ("이 가방은 얼마예요?", "저 가방은 얼마예요?"),
        ("심심해", "심심해요"),
        ("김치찌개 끓이는 법", "김치찌개 맛있게 끓이는 법"),
        (LONG, LONG.replace("먹으면", "안 먹으면")),
        (LONG, LONG.replace("삼 분을", "사 분을")),
        (LONG + " 3", LONG),
    ],
)
def test_not_the_same(one: str, other: str) -> None:
    assert not same_words(one, other)
    assert not same_words(other, one)


@given(st.text(), st.text())
def test_never_raises_and_is_reflexive(one: str, other: str) -> None:
    same_words(one, other)
    assert same_words(one, one)


def test_long_texts_without_anything_in_common_are_told_apart_at_once() -> None:
    assert not same_words("가나 " * 50_000, "다라 " * 50_000)

"""Particles follow the sound of the word before them."""

from __future__ import annotations

import pytest

from kochat.text.particles import fill, final_sound


@pytest.mark.parametrize(
    ("template", "word", "expected"),
    [
        ("{s:은/는}", "서울", "서울은"),
        ("{s:는/은}", "파리", "파리는"),
        ("{s:이/가}", "한글", "한글이"),
        ("{s:가/이}", "나라", "나라가"),
        ("{s:을/를}", "비빔밥", "비빔밥을"),
        ("{s:을/를}", "김치", "김치를"),
        ("{s:으로/로}", "부산", "부산으로"),
        ("{s:으로/로}", "서울", "서울로"),
        ("{s:로/으로}", "제주", "제주로"),
        ("{s:과/와}", "물", "물과"),
        ("{s:와/과}", "바다", "바다와"),
        ("{s:이에요/예요}", "서울", "서울이에요"),
        ("{s:이에요/예요}", "파리", "파리예요"),
        ("{s:이/}라고", "서울", "서울이라고"),
        ("{s:이/}라고", "파리", "파리라고"),
        ("{s:이었/였}습니다", "왕", "왕이었습니다"),
        ("{s:이었/였}습니다", "배우", "배우였습니다"),
        ("{s:이나/나}", "밥", "밥이나"),
        ("{s:나/이나}", "차", "차나"),
        ("{s:이랑/랑}", "형", "형이랑"),
        ("{s:이랑/랑}", "친구", "친구랑"),
        ("{s:으로서/로서}", "학생", "학생으로서"),
        ("{s:으로서/로서}", "딸", "딸로서"),
        ("{s:으며/며}", "많", "많으며"),
    ],
)
def test_fill_chooses_the_particle(template: str, word: str, expected: str) -> None:
    assert fill(template, s=word) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("‘서울’", "‘서울’은"),
        ("파리(Paris)", "파리(Paris)는"),
        ("세종(1397~1450)", "세종(1397~1450)은"),
        ("훈민정음!", "훈민정음!은"),
        ("2024", "2024는"),
        ("1", "1은"),
        ("10", "10은"),
        ("1,000", "1,000은"),
        ("1000000000000", "1000000000000는"),
        ("3.5", "3.5는"),
        ("50%", "50%는"),
        ("10km", "10km는"),
        ("3 kg", "3 kg은"),
        ("PPO", "PPO는"),
        ("URL", "URL은"),
        ("KBS", "KBS는"),
        ("Google", "Google은"),
        ("Python", "Python은"),
        ("test", "test는"),
        ("ㄱ", "ㄱ은"),
        ("", "는"),
    ],
)
def test_digits_letters_and_trailing_marks_are_read_aloud(word: str, expected: str) -> None:
    assert fill("{w:은/는}", w=word) == expected


def test_rieul_counts_only_for_euro() -> None:
    assert fill("{a:으로/로} {a:을/를}", a="7") == "7로 7을"
    assert final_sound("URL") == "rieul"


def test_plain_and_repeated_fields() -> None:
    assert (
        fill("{x}의 수도는 {y}이다. {y:이/가} 답이다.", x="프랑스", y="파리")
        == "프랑스의 수도는 파리이다. 파리가 답이다."
    )


def test_decomposed_word_is_read_composed() -> None:
    assert final_sound("\u1109\u1165\u110b\u116e\u11af") == "rieul"


def test_mistakes_are_errors() -> None:
    with pytest.raises(KeyError):
        fill("{missing:은/는}", s="서울")
    with pytest.raises(ValueError, match="unknown particle pair"):
        fill("{s:은/가}", s="서울")

"""Noise, foreign prose, loops, placeholders and broken endings are told; language that only looks odd is left alone."""

import pytest

from kochat.cleaning.rules.cut_off import broken_ending
from kochat.cleaning.rules.noise import gibberish
from kochat.cleaning.rules.non_korean import foreign, foreign_prompt
from kochat.cleaning.rules.placeholder import anonymised
from kochat.cleaning.rules.repetition import loop

SENTENCE = "안녕하세요 저는 챗봇입니다"
FORMAL = "이 방법은 간단합니다. 먼저 물을 끓입니다. 그리고 면을 넣습니다. " * 3


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE.encode().decode("latin-1"),
        SENTENCE.encode().decode("cp1252", "replace"),
        SENTENCE.encode("cp949").decode("latin-1"),
        SENTENCE.encode().decode("cp949", "replace"),
        "뛟쁇뙑 갉쀏",
        "ㅁㄴㅇㄹㅁㄴㅇㄹ",
        ";ㅂ#ㅈ @ㄷ%ㅁ",
        "!@#$%^&*()",
    ],
)
def test_noise(text: str) -> None:
    assert gibberish(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "심심해",
        "ㅋㅋㅋㅋㅋㅋㅋㅋ",
        "ㅠㅠㅠㅠ ㅇㅇ ㄴㄴ ㄱㅅㄱㅅ",
        "^^;; ㅎㅎ",
        "...?!",
        "아햏햏",
        "똠얌꿍 먹자",
        "ㄱㄴㄷㄹㅁㅂㅅ 다음은?",
        "déjà vu가 뭐야?",
        "25°C ± 3",
        "그림(1): [표 2] {가} #3!",
        "+---+\n| |\n+---+",
        "😀😀😀😀😀😀",
        "北京大學",
    ],
)
def test_what_is_no_noise(text: str) -> None:
    assert gibberish(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Hello, how are you today?",
        "the the of it in a we are not",
        "これは日本語の長い文章です。",
        "This function returns a value",
    ],
)
def test_foreign_prose(text: str) -> None:
    assert foreign(text, 0.1)
    assert foreign(text, 0.1, "다음을 영어나 일본어로 번역해 줘") is None
    assert foreign_prompt(f"번역해 줘: {text}", 0.1) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12345",
        "OK",
        "Python",
        "Bohemian Rhapsody",
        "The Beatles, The Rolling Stones, Queen and ABBA",
        "Python이 뭐야?",
        "1 + 1 = 2",
        "def add(a, b):\n    return a + b",
        "E = mc^2",
        "北京大學",
    ],
)
def test_names_code_and_numbers_are_no_foreign_prose(text: str) -> None:
    assert foreign(text, 0.1) is None


@pytest.mark.parametrize(
    "text",
    [
        "서울은 서울은 서울은 서울은 서울은 서울은",
        "안녕하세요안녕하세요안녕하세요안녕하세요안녕하세요",
        "좋아요! 좋아요! 좋아요! 좋아요! 좋아요!",
        "오늘 날씨는 " + "맑고 맑고 " * 9,
        "하" * 40,
        "나는 밥을 먹었다. 비가 온다. " * 4,
        " ".join(f"{n}. 물을 자주 마시면 좋습니다." for n in range(1, 9)),
    ],
)
def test_loops(text: str) -> None:
    assert loop(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋ",
        "하하하하하하",
        "네, 네, 네, 네",
        "진짜 진짜 진짜 좋아",
        "째깍째깍 째깍째깍",
        "반짝반짝 작은 별",
        "1. 사과\n2. 배\n3. 감\n4. 귤\n5. 밤",
        "| 가 | 나 |\n|---|---|\n| 다 | 라 |",
        "0101010101010101",
        "1일: 걷기\n2일: 걷기\n3일: 걷기\n4일: 쉬기",
        "----------------------------------------",
    ],
)
def test_laughter_emphasis_and_lists_are_no_loops(text: str) -> None:
    assert loop(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "#주소#는 어디예요?",
        "name1아 뭐 해?",
        "&name2& 씨",
        "○○○ 씨 안녕",
        "OOO님, 반가워요",
        "000님 안녕하세요",
        "안녕하세요 [이름]님",
    ],
)
def test_placeholders(text: str) -> None:
    assert anonymised(text)


@pytest.mark.parametrize(
    "text",
    [
        "#봄#여름#가을",
        "#기후 변화 #환경",
        "1000님이 봤어요",
        "전화는 000-0000",
        "○○에 들어갈 말은?",
        "def name1(x): return x",
        "원고 ○○○ 씨는 " + "이 사건을 들어 알고 있었다. " * 80,
        "안녕하세요 [이름]님, " + "지원해 주셔서 고맙습니다. " * 10,
    ],
)
def test_hashtags_numbers_code_and_letters_are_no_placeholders(text: str) -> None:
    assert anonymised(text) is None


@pytest.mark.parametrize(
    "end", ["마지막으로 뚜껑을", "이렇게 하는", "그리고", "물을 끓이면서", "하지만 이것은 불이 있는"]
)
def test_broken_endings(end: str) -> None:
    assert broken_ending(FORMAL + end)


@pytest.mark.parametrize(
    "end", ["뚜껑을 덮습니다.", "재료: 면, 물", "- 소금\n- 간장", "맛있게 드세요", "https://example.org", "```"]
)
def test_whole_endings(end: str) -> None:
    assert broken_ending(FORMAL + end) is None


def test_speech_may_end_in_a_connective() -> None:
    speech = "어제 친구 만났어. 밥도 먹었어. 영화도 봤어. " * 4
    assert broken_ending(speech + "그래서 너무 좋았고") is None
    assert broken_ending(speech + "그 영화를")
    assert broken_ending("뚜껑을") is None  # too short to tell

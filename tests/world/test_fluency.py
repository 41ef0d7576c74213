import pytest

from kochat.world.fluency import defect, finished_part, is_cut_off, letter_pairs

KNOWN = frozenset(letter_pairs("프랑스의 수도는 파리입니다. 잘 모르겠어요. 올챙이예요. 하하하 재미있네요."))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        (" ?! ", "empty"),
        ("파\ufffd\ufffd입니다", "residue"),
        ("파리입니다.</s>", "residue"),
        ("ㅂㅈㄷ ㄹㅌ", "jamo"),
        ("파리 파리 파리 파리", "loop"),
        ("프랑스의 수도는 프랑스의 수도는 프랑스의 수도는", "loop"),
        ("올챙이올챙이올챙이올챙이", "loop"),
        ("It is a very big city 파리", "english"),
        ("뷁쀍 뒓꿻 파리", "syllables"),
        ("멍두 갸륵혼 쿵텀 바즈락 늑돌림", "noise"),
        (". 수도는 파리입니다.", "headless"),
        ("프랑스의 수도는 '입니다.", "headless"),
        ("프랑스의 수도는 '파리'입니다.", None),
        ("프랑스의 수도는 파리입니다.", None),
        ("하하하하하하하하하하 ㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋ 재미있네요", None),
        ("Fe입니다.", None),
    ],
)
def test_what_makes_an_answer_malformed(text: str, problem: str | None) -> None:
    assert defect(text, KNOWN) == problem


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("프랑스의 수도는", True),
        ("프랑스의 수도는 파리입", True),
        ("프랑스의 수도", True),
        ("프랑스의 수도는 파리이며", True),
        ("프랑스의 수도는 리옹", False),
        ("프랑스의 수도는 파리예요", False),
        ("프랑스의 수도는 파리입니다.", False),
    ],
)
def test_an_answer_may_be_cut_off(text: str, cut: bool) -> None:
    assert is_cut_off(text, vocabulary="나라의 수도 {s}의 수도는 어디예요?") is cut


def test_a_cut_off_sentence_behind_a_whole_one_is_left_out() -> None:
    assert finished_part("파리입니다. 파리에는 센강이") == "파리입니다."
    assert finished_part("파리입니다. 센강이 흘러요") == "파리입니다. 센강이 흘러요"

import pytest

from kochat.world.names import NameFinder

FINDER = NameFinder(["인도", "인도네시아", "배", "세종대왕", "나일 강", "Fe", "F", "8월 15일", "유럽", "London"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("인도예요.", ["인도"]),
        ("인도에서는 인도네시아가 멀어요.", ["인도", "인도네시아"]),
        ("인도양에 있어요.", []),
        ("배추와 담배가 아니라 배입니다.", ["배"]),
        ("세종 대왕께서 만드셨어요.", ["세종대왕"]),
        ("나일강이라고 해요.", ["나일 강"]),
        ("Fe입니다. FE는 아니에요.", ["Fe"]),
        ("london이에요", ["London"]),
        ("18월 15일도 8월 150일도 아닌 8월15일", ["8월 15일"]),
        ("남유럽의 나라", ["유럽"]),
    ],
)
def test_names_are_whole_words_with_their_particles(text: str, names: list[str]) -> None:
    assert [mention.name for mention in FINDER.find(text)] == names

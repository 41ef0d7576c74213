import pytest

from kochat.report.shuffled_references import chance_floor
from kochat.report.study_files import Answer


def answer(number, text, reference):
    return Answer(id=str(number), prompt="?", answer=text, reference=reference)


def test_right_answers_that_share_nothing_have_a_floor_of_zero():
    letters = "가나다라마바사아자차"
    answers = [answer(i, letter * 8, letter * 8) for i, letter in enumerate(letters)]
    assert chance_floor(answers, ["bleu", "rouge_l"]) == {"bleu": 0, "rouge_l": 0}


def test_one_answer_to_all_scores_the_same_on_its_floor():
    answers = [answer(i, "잘 모르겠어요.", "잘 모르겠어요.") for i in range(6)]
    assert chance_floor(answers, ["bleu"])["bleu"] == pytest.approx(1)


def test_without_references_there_is_no_floor():
    assert chance_floor([answer(0, "네", None), answer(1, "네", "네")], ["bleu"]) == {}

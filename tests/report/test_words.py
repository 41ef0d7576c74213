import re

import pytest

from kochat.errors import UserError
from kochat.metrics.intervals import Interval
from kochat.report.study_files import Done, RunEntry
from kochat.report.study_results import Run
from kochat.report.words import Texts, count, read_texts


def words(text):
    return set(re.findall(r"\{(\w+)", text))


def test_both_languages_have_the_same_texts_with_the_same_words():
    korean, english = read_texts("ko"), read_texts("en")
    assert set(korean) == set(english)
    assert {key for key in korean if words(korean[key]) != words(english[key])} == set()


def test_english_texts_hold_no_hangul():
    assert [key for key, text in read_texts("en").items() if re.search("[가-힣]", text)] == []


def test_an_unknown_language_is_the_users_error():
    with pytest.raises(UserError, match="--lang 'fr'"):
        Texts("fr")


@pytest.mark.parametrize(
    ("entry", "korean", "english"),
    [
        ({"stage": "baseline"}, "기준 모델", "Baseline"),
        ({"stage": "sft", "lora_rank": 8}, "SFT rank 8", "SFT rank 8"),
        ({"stage": "sft", "lora_rank": 0}, "SFT rank 0(전체 학습)", "SFT rank 0 (full)"),
        (
            {"stage": "ppo", "lora_rank": 16, "kl_coef": 0.5, "version": "v1"},
            "PPO kl_coef 0.5 v1",
            "PPO kl_coef 0.5 v1",
        ),
    ],
)
def test_labels_say_what_differs(entry, korean, english):
    run = Run(entry=RunEntry(name="x", path="x", **entry), done=Done())
    assert Texts("ko").label(run) == korean
    assert Texts("en").label(run) == english


def test_numbers_are_written_one_way():
    texts = Texts("ko")
    assert texts.number("bleu", 0.02418) == "0.0242"
    assert texts.number("val_loss", 1.23456) == "1.235"
    assert texts.number("accuracy", 0.625) == "62.5%"
    assert texts.number("accuracy", -0.0625, signed=True) == "-6.2%p"
    assert texts.number("reward", 0.5, signed=True) == "+0.500"
    assert texts.number("reward", None) == "–"
    assert texts.interval("bleu", Interval(0.5, 0.25, 0.75, 9)) == "0.5000 (0.2500, 0.7500)"
    assert count(1_750_000) == "1,750,000"


def test_durations():
    texts = Texts("ko")
    assert [texts.duration(seconds) for seconds in (None, 48.4, 59.6, 200)] == ["–", "48초", "1분 0초", "3분 20초"]


def test_particles_follow_the_word():
    assert Texts("ko")(
        "compare.higher", metric="BLEU", a="SFT rank 16", b="기준 모델", va="2", vb="1", difference="+1"
    ) == ("BLEU는 SFT rank 16이 기준 모델보다 높다: 1 → 2, 차이 +1.")

import re

import pytest

from kochat.errors import UserError
from kochat.metrics.intervals import Interval
from kochat.report.words import Texts, count, read_texts
from kochat.stages import built_in


def words(text):
    return set(re.findall(r"\{(\w+)", text))


@pytest.mark.parametrize("package", [None, *(stage.package for stage in built_in())])
def test_both_languages_have_the_same_texts_with_the_same_words(package):
    korean, english = read_texts("ko", package), read_texts("en", package)
    assert set(korean) == set(english) != set()
    assert {key for key in korean if words(korean[key]) != words(english[key])} == set()
    assert [key for key, text in english.items() if re.search("[가-힣]", text)] == []


def test_a_stage_may_not_change_the_reports_words(tmp_path, monkeypatch):
    folder = tmp_path / "rude_stage"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "en.yaml").write_text('metric.bleu: "Magic"\n', encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"rude_stage: en\.yaml: 'metric.bleu' has other words in the report already"):
        Texts("en", ["rude_stage"])
    assert Texts("ko", ["rude_stage"]).metric("bleu") == "BLEU"  # no ko.yaml, no words


def test_an_unknown_language_is_the_users_error():
    with pytest.raises(UserError, match="--lang 'fr'"):
        Texts("fr")


@pytest.mark.parametrize(
    ("name", "value", "korean", "english"),
    [
        ("rank", 16, "rank 16", "rank 16"),
        ("rank", 0, "rank 0(전체 학습)", "rank 0 (full)"),
        ("kl_coef", 0.1, "kl_coef 0.1", "kl_coef 0.1"),
        ("data", "v1", "v1", "v1"),
        ("seed", 1, "시드 1", "seed 1"),
        ("learning_rate", 1e-3, "learning_rate 0.001", "learning_rate 0.001"),
        ("learning_rate", 0.0010000001, "learning_rate 0.0010000001", "learning_rate 0.0010000001"),
        ("scale", True, "scale true", "scale true"),
        ("targets", ["c_fc"], 'targets ["c_fc"]', 'targets ["c_fc"]'),
    ],
)
def test_a_factors_value_is_said_in_words(name, value, korean, english):
    assert (Texts("ko").factor(name, value), Texts("en").factor(name, value)) == (korean, english)


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
        "compare.higher", metric="BLEU", a="SFT rank 16", b="기준 모델", va="2", vb="1", difference="+1", p="< 0.001"
    ) == ("BLEU: SFT rank 16이 기준 모델보다 높다(2 대 1). 차이 +1, p < 0.001.")

"""Hold the text metrics to hand-worked Korean examples, and their rows to uneven shards and duplicates."""

import itertools
import math
import unicodedata

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from kochat.metrics.text_overlap import BLEU, CHRF, ROUGEL, lcs_length, text_metrics

METRICS = {"bleu": BLEU, "rouge_l": ROUGEL, "chrf": CHRF}


def score(metric, *pairs):
    predictions, references = zip(*pairs, strict=True)
    metric.update([str(i) for i in range(len(pairs))], list(predictions), list(references))
    return metric.compute().item()


@pytest.mark.parametrize("text", ["대한민국의 수도는 서울이에요.", "네", "ㅋㅋㅋ 좋아요!"])
@pytest.mark.parametrize("name", list(text_metrics()))
def test_identical_korean_scores_one(name, text):
    metric = text_metrics()[name]
    assert score(metric, (text, text)) == 1.0
    assert metric.rows() == {"0": 1.0}


@pytest.mark.parametrize("name", list(text_metrics()))
def test_disjoint_korean_scores_zero(name):
    assert score(text_metrics()[name], ("가나다라 마바사", "아자차카 타파하")) == 0.0


@pytest.mark.parametrize("name", list(text_metrics()))
def test_an_empty_answer_scores_zero(name):
    assert score(text_metrics()[name], ("", "서울이에요.")) == 0.0


@pytest.mark.parametrize("name", list(text_metrics()))
def test_decomposed_jamo_cost_nothing(name):
    text = "한글 ㅋㅋㅋ ㅠㅠ"
    assert unicodedata.normalize("NFKD", text) != text
    assert score(text_metrics()[name], (unicodedata.normalize("NFKD", text), text)) == 1.0


@pytest.mark.parametrize("name", list(text_metrics()))
def test_no_example_is_no_score(name):
    metric = text_metrics()[name]
    metric.update([], [], [])
    assert math.isnan(metric.compute())
    assert metric.rows() == {}


def test_bleu_hand_worked():
    # 가나다라마 against 가나다라바: 4/5, 3/4, 2/3 and 1/2 of the 1- to 4-grams match, of product 1/5; no brevity penalty.
    assert abs(score(BLEU(), ("가나다라마", "가나다라바")) - 0.2**0.25) < 1e-6


def test_bleu_pays_for_brevity():
    # Every n-gram matches, 4 characters for 6: exp(1 - 6/4).
    assert abs(score(BLEU(), ("가나 다라", "가나다라 마바")) - math.exp(-0.5)) < 1e-6


def test_corpus_bleu_sums_counts_and_is_no_mean_of_rows():
    # The two examples above together: (4+4)/(5+4), (3+3)/(4+3), (2+2)/(3+2), (1+1)/(2+1), 9 characters for 11.
    metric = BLEU()
    expected = (8 / 9 * 6 / 7 * 4 / 5 * 2 / 3) ** 0.25 * math.exp(1 - 11 / 9)
    assert abs(score(metric, ("가나다라마", "가나다라바"), ("가나다라", "가나다라마바")) - expected) < 1e-6
    assert metric.rows() == pytest.approx({"0": 0.2**0.25, "1": math.exp(-0.5)})


def test_legacy_bleu_compares_words():
    # 3 words of 4 match, the bigram 나는 밥을 and no other: 3/4, 1/3; no trigram, smoothed to 1/(2*2) and 1/(4*1).
    expected = (3 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** 0.25
    assert abs(score(BLEU("none"), ("나는 밥을 또 먹었다", "나는 밥을 안 먹었다")) - expected) < 1e-6


def test_rouge_l_hand_worked():
    # 가나다라마 and 가다라사 share 가다라: 2 * 3 / (5 + 4). The mean with a score of 1 is (2/3 + 1) / 2.
    metric = ROUGEL()
    assert abs(score(metric, ("가나다라마", "가다라사"), ("바", "바")) - 5 / 6) < 1e-6
    assert metric.rows() == pytest.approx({"0": 2 / 3, "1": 1.0})


def test_rouge_l_by_characters_forgives_spacing_and_by_words_does_not():
    pair = ("한국의수도는 서울", "한국의 수도는 서울")
    assert score(ROUGEL(), pair) == 1.0
    assert abs(score(ROUGEL("none"), pair) - 2 / 5) < 1e-6  # 서울 alone: 2 * 1 / (2 + 3)


def test_chrf_hand_worked():
    # 가나 against 가다: half of the characters and none of the one bigram match; P = R = (1/2 + 0) / 2.
    assert abs(score(CHRF(), ("가나", "가다")) - 0.25) < 1e-6


def test_corpus_figures_equal_sacrebleu():
    pairs = [
        ("오늘은 비가 와요.", "오늘은 비가 많이 와요."),
        ("잘 모르겠어요", "서울이에요"),
        ("안녕하세요!", "안녕하세요?"),
    ]
    predictions, references = (list(texts) for texts in zip(*pairs, strict=True))
    bleu = sacrebleu.corpus_bleu(predictions, [references], tokenize="char").score / 100
    chrf = sacrebleu.corpus_chrf(predictions, [references]).score / 100
    assert abs(score(BLEU(), *pairs) - bleu) < 1e-6
    assert abs(score(CHRF(), *pairs) - chrf) < 1e-6


def test_signatures_name_the_tokeniser():
    signatures = {name: metric.signature for name, metric in text_metrics().items()}
    assert "tok:char" in signatures["bleu"]
    assert "tok:none" in signatures["legacy_bleu"]
    assert signatures["rouge_l"] == "nrefs:1|case:mixed|tok:char|stem:no|f:1|agg:mean"
    assert "nc:6" in signatures["chrf"]


def test_an_unknown_tokeniser_names_the_choices():
    with pytest.raises(ValueError, match=r"tokenize='13a'.*char, none"):
        BLEU("13a")


@pytest.mark.parametrize("name", METRICS)
def test_a_repeated_id_counts_once_and_the_first_row_stands(name):
    once, twice = METRICS[name](), METRICS[name]()
    once.update(["가", "나"], ["서울입니다", "부산"], ["서울이에요", "대구"])
    twice.update(["가"], ["서울입니다"], ["서울이에요"])
    twice.update(["나", "가", "가"], ["부산", "서울입니다", "서울이에요"], ["대구", "서울이에요", "서울이에요"])
    assert twice.compute() == once.compute()
    assert twice.rows() == once.rows()


@pytest.mark.parametrize("name", METRICS)
def test_uneven_shards_merge_to_the_whole(name):
    ids, answers = ["a", "b", "c"], ["서울이 수도", "부산항", "비가 와요"]
    references = ["서울이에요", "부산", "비가 옵니다"]
    whole, left, right = METRICS[name](), METRICS[name](), METRICS[name]()
    whole.update(ids, answers, references)
    left.update(ids[:1], answers[:1], references[:1])
    right.update(ids[1:] + ids[:1], answers[1:] + answers[:1], references[1:] + references[:1])
    left.merge_state(right)
    assert left.compute() == whole.compute()
    assert sorted(left.rows().items()) == sorted(whole.rows().items())


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2 ids, 1 predictions and 2 references"):
        BLEU().update(["a", "b"], ["x"], ["x", "y"])


@given(st.text("가나다", max_size=12), st.text("가나다", max_size=12))
def test_bit_parallel_lcs_equals_the_table(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, j in itertools.product(range(len(a)), range(len(b))):
        table[i + 1][j + 1] = table[i][j] + 1 if a[i] == b[j] else max(table[i][j + 1], table[i + 1][j])
    assert lcs_length(a, b) == table[-1][-1]

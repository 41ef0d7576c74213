"""How scores go with lengths, by hand."""

import math

import pytest

from kochat.metrics.intervals import Interval
from kochat.metrics.length_effects import answer_length, length_bias, rank_correlation


@pytest.mark.parametrize(("text", "length"), [("", 0), (" \n\t\u3000", 0), ("네, 그래요 ㅋㅋ", 7), ("a b\nc", 3)])
def test_length_is_characters_without_whitespace(text, length):
    assert answer_length(text) == length


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3], [10, 20, 1000], 1.0),  # ranks: Pearson would give 0.88
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 3], [2, 1, 3], 0.5),  # 1 - 6 * 2 / (3 * 8)
        ([1, 1, 2], [1, 2, 3], math.sqrt(3) / 2),  # ranks 1.5 1.5 3 against 1 2 3
        ([1, 2, 2, 3], [1, 3, 2, 4], 4.5 / math.sqrt(4.5 * 5)),
    ],
)
def test_rank_correlation(x, y, expected):
    assert rank_correlation(x, y) == pytest.approx(expected)


@pytest.mark.parametrize("x", [[], [1.0], [2.0, 2.0, 2.0]])
def test_a_constant_correlates_with_nothing(x):
    assert math.isnan(rank_correlation(x, range(len(x))))
    assert math.isnan(rank_correlation(range(len(x)), x))


def test_within_records_is_not_overall():
    # Longer is worse within each record, yet the record of long answers scores higher.
    bias = length_bias([[3, 2, 1], [30, 20, 10]], [[1, 2, 3], [10, 20, 30]])
    assert bias.within == Interval(-1.0, -1.0, -1.0, 2)
    assert bias.overall == pytest.approx(1 - 6 * 16 / (6 * 35))  # rank gaps 2 0 2 in each: 16 in all


def test_records_of_equal_lengths_or_scores_are_left_out_of_the_mean():
    bias = length_bias([[3, 2, 1], [3, 2, 1], [0, 0, 0]], [[3, 2, 1], [5, 5, 5], [1, 2, 3]])
    assert bias.within == Interval(1.0, 1.0, 1.0, 1)


def test_accuracy_by_which_is_longer():
    # a: best 5, middle 8, worst 2 characters: shorter (right), longer (right), longer (right).
    # b: best 1, middle 2, worst 2: shorter (wrong), shorter (tie of scores), equal length: in neither.
    bias = length_bias([[2, 1, 0], [0, 1, 0]], [[5, 8, 2], [1, 2, 2]])
    assert (bias.n_shorter, bias.n_longer, bias.n_equal) == (3, 2, 1)
    # Draws of records: a alone 1 / 1, both 1.5 / 3, b alone 0.5 / 2.
    assert bias.shorter_better == Interval(0.5, 0.25, 1.0, 2)
    assert bias.longer_better == Interval(1.0, 1.0, 1.0, 1)
    assert bias.longer_wins == 0.4


def test_a_score_that_is_the_length_is_wrong_where_the_better_is_shorter():
    lengths = [[4, 9, 2], [7, 1, 3]]
    bias = length_bias(lengths, lengths)
    assert (bias.within.value, bias.overall) == (1.0, 1.0)
    assert (bias.shorter_better.value, bias.longer_better.value) == (0.0, 1.0)
    assert bias.longer_wins == 4 / 6


def test_nothing_to_compare():
    for scores, lengths, n_equal in (([], [], 0), ([[1, 2, 3]], [[5, 5, 5]], 3)):
        bias = length_bias(scores, lengths)
        assert (bias.within, bias.overall, bias.shorter_better, bias.longer_better, bias.longer_wins) == (None,) * 5
        assert (bias.n_shorter, bias.n_longer, bias.n_equal) == (0, 0, n_equal)


def test_lengths_must_fit_the_scores():
    with pytest.raises(ValueError, match="2 records of scores need as many of lengths, not 1"):
        length_bias([[1, 2, 3], [1, 2, 3]], [[1, 2, 3]])

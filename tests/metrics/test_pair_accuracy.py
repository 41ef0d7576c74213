"""Hold the reward model's accuracy and margin to hand-worked scores."""

import math

import pytest
import torch

from kochat.metrics.pair_accuracy import PairAccuracy


def test_hand_worked():
    # Row a: 3 > 1 > 0, three pairs right. Row b: 1, 2, 1: best < middle wrong, best = worst half, middle > worst right.
    metric = PairAccuracy()
    metric.update(["a"], torch.tensor([[3.0, 1.0, 0.0]]))
    metric.update(["b"], torch.tensor([[1.0, 2.0, 1.0]]))
    result = {name: value.item() for name, value in metric.compute().items()}
    expected = {"accuracy": 4.5 / 6, "margin": 1.5, "score_best": 2.0, "score_middle": 1.5, "score_worst": 0.5}
    assert result == pytest.approx(expected)
    assert metric.rows() == pytest.approx({"a": 1.0, "b": 0.5})
    assert metric.scores() == {"a": [3.0, 1.0, 0.0], "b": [1.0, 2.0, 1.0]}


def test_a_constant_model_is_at_chance():
    metric = PairAccuracy()
    metric.update(["a"], torch.zeros(1, 3))
    assert metric.compute()["accuracy"] == 0.5


def test_a_constant_shift_changes_neither_accuracy_nor_margin():
    scores = torch.tensor([[0.5, -0.25, 0.0], [2.0, 1.0, 1.5]])
    plain, shifted = PairAccuracy(), PairAccuracy()
    plain.update(["a", "b"], scores)
    shifted.update(["a", "b"], scores + 8)
    for name in ("accuracy", "margin"):
        assert plain.compute()[name] == shifted.compute()[name]


def test_a_repeated_id_counts_once():
    metric = PairAccuracy()
    metric.update(["a", "b"], torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]))
    metric.update(["a"], torch.tensor([[2.0, 1.0, 0.0]]))
    assert metric.compute()["accuracy"] == 0.5


def test_no_example_is_no_score():
    metric = PairAccuracy()
    metric.update([], torch.zeros(0, 3))
    assert math.isnan(metric.compute()["accuracy"])


def test_scores_that_are_no_triples_are_refused():
    with pytest.raises(ValueError, match=r"2 ids need statistics of shape \(2, 3\), not \(2, 2\)"):
        PairAccuracy().update(["a", "b"], torch.zeros(2, 2))

import pytest
import torch

from kochat.rewards.reward_unit import within_prompt_std


def test_hand_worked_and_without_the_differences_between_prompts():
    """Unbiased variances 2 and 8: sqrt(5). The prompts' means, 1 and 102, do not count."""
    assert within_prompt_std(torch.tensor([[0.0, 2.0], [100.0, 104.0]])) == pytest.approx(5**0.5)


def test_equal_answers_have_none():
    assert within_prompt_std(torch.tensor([[3.0, 3.0], [7.0, 7.0]])) == 0


@pytest.mark.parametrize("shape", [(0, 4), (3, 1), (4,)])
def test_what_has_no_spread_is_refused(shape):
    with pytest.raises(ValueError, match="have no spread; give"):
        within_prompt_std(torch.zeros(shape))


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        within_prompt_std(torch.tensor([[0.0, float("nan")]]))

import pytest
import torch

from kochat.stages.ppo.answer_quality import answer_health, repetition


def figures(prompts, answers):
    tokens = torch.tensor([[1, 2, 3, 4, 1, 2, 3, 4]] * len(answers))
    found = answer_health(prompts, answers, tokens, torch.ones_like(tokens))
    return {name: (value.item(), weight) for name, (value, weight) in found.items()}


def test_repeated_4_grams_by_hand():
    # 1234 2341 3412 4123 1234: the last of five came before
    assert repetition([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(1 / 5)
    assert repetition([7] * 10) == pytest.approx(1 - 1 / 7)
    assert repetition([1, 2, 3]) == 0


def test_masked_tokens_are_no_part_of_the_answer():
    tokens, mask = torch.tensor([[7] * 10]), torch.tensor([[1, 1, 1, 1] + [0] * 6])
    assert answer_health(["?"], ["x"], tokens, mask)["val_repetition"][0].item() == 0


def test_equal_answers_are_counted_once():
    assert figures(["a", "b", "c", "d"], ["네.", "네.", "네.", "아니요."])["val_distinct"] == (0.5, 4)


def test_the_judge_speaks_of_the_prompts_that_it_knows():
    prompts = ["프랑스의 수도는 어디인가요?", "일본의 수도는 어디인가요?", "안녕하세요"]
    found = figures(prompts, ["프랑스의 수도는 파리예요.", "일본의 수도는 베이징이에요.", "안녕하세요!"])
    assert found["val_accuracy"] == (0.5, 2)
    assert found["val_hallucination"] == (0.5, 2)


def test_without_known_facts_the_accuracy_has_no_weight():
    assert figures(["오늘 기분이 어때?"], ["좋아요."])["val_accuracy"] == (0, 0)

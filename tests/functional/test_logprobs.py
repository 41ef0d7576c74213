"""Hold token log-probabilities and entropy to hand-worked arrays."""

import math

import torch

from kochat.functional import entropy, token_logprobs

INF = math.inf


def test_token_logprobs_hand_worked():
    # Logits are logs of 1, 2, 5 (sum 8) and of 3, 1, 4 (sum 8): the chosen have p = 2/8 and 4/8.
    logits = torch.tensor([[[1.0, 2.0, 5.0], [3.0, 1.0, 4.0]]]).log()
    logprobs = token_logprobs(logits, torch.tensor([[1, 2]]))
    torch.testing.assert_close(logprobs, torch.tensor([[math.log(0.25), math.log(0.5)]]))


def test_token_logprobs_equal_the_gathered_log_softmax_with_gradient():
    generator = torch.Generator().manual_seed(0)
    logits = (10 * torch.randn(2, 3, 11, generator=generator)).requires_grad_()
    ids = torch.randint(11, (2, 3), generator=generator)
    expected = torch.log_softmax(logits, dim=-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    weights = torch.arange(6.0).view(2, 3)
    (expected_grad,) = torch.autograd.grad((expected * weights).sum(), logits, retain_graph=True)
    actual = token_logprobs(logits, ids)
    (grad,) = torch.autograd.grad((actual * weights).sum(), logits)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(grad, expected_grad, atol=1e-5, rtol=0)


def test_half_precision_logits_are_normalised_in_float32():
    # 1000 equal logits: p = 1/1000 exactly, where bfloat16 arithmetic would round log 1000 = 6.9078 to 6.90625.
    logprobs = token_logprobs(torch.zeros(1, 1, 1000, dtype=torch.bfloat16), torch.zeros(1, 1, dtype=torch.long))
    assert logprobs.dtype == torch.float32
    assert abs(logprobs.item() + math.log(1000)) < 1e-5


def test_tokens_are_taken_without_a_batch_axis():
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3.0)]])
    torch.testing.assert_close(token_logprobs(logits, torch.tensor([0, 1])), torch.tensor([0.5, 0.75]).log())


def test_entropy_hand_worked():
    # Uniform over 4: log 4. Half and half with two excluded tokens: log 2. One certain token: 0.
    logits = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, -INF, -INF], [0.0, -INF, -INF, -INF]]], requires_grad=True)
    result = entropy(logits)
    torch.testing.assert_close(result, torch.tensor([[math.log(4), math.log(2), 0.0]]))
    result.sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_entropy_of_a_skewed_distribution():
    # p = 1/4, 3/4: 0.25 log 4 + 0.75 log(4/3).
    expected = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    assert abs(entropy(torch.tensor([[1.0, 3.0]]).log()).item() - expected) < 1e-6

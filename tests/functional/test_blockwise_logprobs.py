"""Log-probabilities from hidden states are those of the whole logits, in value and gradient."""

import pytest
import torch

from kochat.functional import (
    blockwise_logprobs,
    entropy,
    linear_logprobs,
    linear_logprobs_and_entropy,
    token_logprobs,
)

VOCAB, WIDTH = 50, 6


def inputs(count, dtype=torch.float64):
    generator = torch.Generator().manual_seed(count)
    hidden = torch.randn(count, WIDTH, generator=generator, dtype=dtype)
    weight = torch.randn(VOCAB, WIDTH, generator=generator, dtype=dtype)
    return hidden, weight, torch.randint(VOCAB, (count,), generator=generator)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 600])
@pytest.mark.parametrize("trained", [("hidden",), ("weight",), ("hidden", "weight")])
def test_value_and_gradient_are_those_of_the_logits(count, trained):
    hidden, weight, ids = inputs(count)
    wanted = [x.requires_grad_() for x, its in ((hidden, "hidden"), (weight, "weight")) if its in trained]
    outer = torch.linspace(-1, 1, count, dtype=torch.float64)
    plain = token_logprobs(hidden @ weight.T, ids)
    blocks = linear_logprobs(hidden, weight, ids)
    torch.testing.assert_close(blocks, plain)
    expected = torch.autograd.grad((outer * plain).sum(), wanted)
    found = torch.autograd.grad((outer * blocks).sum(), wanted)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_no_logits_are_kept_under_a_frozen_embedding():
    hidden, weight, ids = inputs(600, torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        linear_logprobs(hidden.requires_grad_(), weight, ids)
    assert max(kept) == 600 * WIDTH


def test_entropy_stands_beside():
    hidden, weight, ids = inputs(300, torch.float32)
    logprobs, found = linear_logprobs_and_entropy(hidden, weight, ids)
    torch.testing.assert_close(logprobs, token_logprobs(hidden @ weight.T, ids), atol=1e-5, rtol=0)
    torch.testing.assert_close(found, entropy(hidden @ weight.T), atol=1e-5, rtol=0)


def test_large_logits_overflow_nothing():
    hidden, weight, ids = inputs(3, torch.float32)
    hidden = (hidden * 1e3).requires_grad_()
    found = linear_logprobs(hidden, weight, ids)
    torch.testing.assert_close(found, token_logprobs(hidden @ weight.T, ids))
    assert torch.autograd.grad(found.sum(), hidden)[0].isfinite().all()


@pytest.mark.parametrize("trained", [False, True])
def test_bfloat16_sums_in_float32(trained):
    """As the plain way does: bfloat16 logits, a float32 sum over the vocabulary."""
    hidden, weight, ids = (x.bfloat16() if x.is_floating_point() else x for x in inputs(40, torch.float32))
    wanted = [hidden.requires_grad_(), *([weight.requires_grad_()] if trained else [])]
    plain, blocks = token_logprobs(hidden @ weight.T, ids), linear_logprobs(hidden, weight, ids)
    assert blocks.dtype == torch.float32
    torch.testing.assert_close(blocks, plain, atol=1e-5, rtol=0)
    for one, other in zip(
        torch.autograd.grad(blocks.sum(), wanted), torch.autograd.grad(plain.sum(), wanted), strict=True
    ):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one, other, atol=0.1, rtol=0.05)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_confident_tokens_gradient_survives_half_precision(trained, dtype):
    """P is 0.9997: the embedding less its mean, both in bfloat16, would be 0."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(VOCAB, 64, generator=generator).to(dtype)
    hidden = (weight[:8].double() * 0.2).to(dtype)
    ids = torch.arange(8)
    exact = [x.double().requires_grad_() for x in (hidden, weight)]
    logprobs = token_logprobs(exact[0] @ exact[1].T, ids)
    assert (logprobs.exp() > 0.99).any()
    expected = torch.autograd.grad(logprobs.sum(), exact)
    found = linear_logprobs(hidden.requires_grad_(), weight.requires_grad_(trained), ids)
    wanted = [hidden, weight][: 1 + trained]
    for one, other in zip(torch.autograd.grad(found.sum(), wanted), expected[: 1 + trained], strict=True):
        difference = (one.double() - other).norm(dim=1)
        assert (difference <= 0.1 * other.norm(dim=1) + 1e-3 * other.norm()).all()


def test_without_gradient_no_logits_are_kept(monkeypatch):
    """Also where the embedding is trained: validation needs no probabilities."""
    monkeypatch.setattr(blockwise_logprobs, "_LinearLogprobs", None)
    hidden, weight, ids = inputs(300, torch.float32)
    with torch.no_grad():
        found = linear_logprobs(hidden.requires_grad_(), weight.requires_grad_(), ids)
    torch.testing.assert_close(found, token_logprobs(hidden @ weight.T, ids).detach())


def test_a_second_backward_pass_is_refused():
    hidden, weight, ids = inputs(4)
    for trained in (False, True):
        loss = linear_logprobs(hidden.requires_grad_(), weight.requires_grad_(trained), ids).sum()
        (gradient,) = torch.autograd.grad(loss, hidden, create_graph=True)
        with pytest.raises(RuntimeError):
            gradient.sum().backward()

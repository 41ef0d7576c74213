"""Hold the KL estimators to Schulman's definitions and to the exact categorical KL."""

import math

import pytest
import torch

from kochat.functional import adapted_kl_coef, kl_estimate

LOG2 = math.log(2)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # d = log p - log q is log 2, -log 2 and 0.
        ("k1", [[LOG2, -LOG2, 0.0]]),
        ("k2", [[LOG2**2 / 2, LOG2**2 / 2, 0.0]]),
        # exp(-d) - 1 + d: 1/2 - 1 + log 2, and 2 - 1 - log 2.
        ("k3", [[LOG2 - 0.5, 1 - LOG2, 0.0]]),
    ],
)
def test_hand_worked(kind, expected):
    logprobs = torch.tensor([[0.5, 0.25, 0.3]]).log()
    ref_logprobs = torch.tensor([[0.25, 0.5, 0.3]]).log()
    torch.testing.assert_close(kl_estimate(logprobs, ref_logprobs, kind), torch.tensor(expected))


@pytest.mark.parametrize("kind", ["k1", "k3"])
def test_expectation_is_the_exact_categorical_kl(kind):
    # KL(p || q) for p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2) is 1/2 log 2 - 1/4 log 2 = log 2 / 4.
    p, q = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.25, 0.25, 0.5])
    mean = (p * kl_estimate(p.log(), q.log(), kind)).sum()
    assert abs(mean.item() - LOG2 / 4) < 1e-6


def test_k2_is_near_the_exact_kl_for_near_policies():
    p = torch.tensor([0.5, 0.3, 0.2])
    q = torch.tensor([0.51, 0.29, 0.2])
    exact = (p * (p / q).log()).sum()
    assert abs((p * kl_estimate(p.log(), q.log(), "k2")).sum() / exact - 1) < 0.05


def test_k3_is_never_negative():
    difference = torch.cat([torch.linspace(-20, 20, 401), torch.tensor([1e-7, -1e-7, 1e-4])])
    assert (kl_estimate(difference, torch.zeros_like(difference), "k3") >= 0).all()


@pytest.mark.parametrize("kind", ["k1", "k2", "k3"])
def test_masked_slots_are_zero_in_value_and_gradient(kind):
    logprobs = torch.tensor([[-1.0, math.nan, -math.inf]], requires_grad=True)
    mask = torch.tensor([[True, False, False]])
    kl = kl_estimate(logprobs, torch.tensor([[-2.0, 1.0, -math.inf]]), kind, mask=mask)
    kl.sum().backward()
    assert kl[0, 0] > 0
    assert kl[0, 1:].tolist() == [0.0, 0.0]
    assert logprobs.grad[0, 0] != 0
    assert logprobs.grad[0, 1:].tolist() == [0.0, 0.0]


def test_an_unknown_kind_names_the_choices():
    with pytest.raises(ValueError, match=r"kind='k4'.*k1, k2, k3"):
        kl_estimate(torch.zeros(1, 1), torch.zeros(1, 1), "k4")


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        (6.0, 0.2),  # at the target: unchanged
        (6.6, 0.2 * 1.01),  # a tenth over: e = 0.1
        (60.0, 0.2 * 1.02),  # far over: e clipped to 0.2
        (5.4, 0.2 * 0.99),
        (0.0, 0.2 * 0.98),
        (-3.0, 0.2 * 0.98),  # k1 may dip below 0
    ],
)
def test_the_controller_hand_worked(kl, expected):
    assert adapted_kl_coef(0.2, kl, target=6.0) == pytest.approx(expected)


def test_the_controller_brings_a_kl_that_falls_with_its_weight_to_the_target():
    kl_coef = 0.01
    for _ in range(400):
        kl_coef = adapted_kl_coef(kl_coef, 1 / kl_coef, target=5.0)  # a policy whose KL is 1 / weight
    assert 1 / kl_coef == pytest.approx(5.0, rel=0.05)


def test_a_target_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"target=0"):
        adapted_kl_coef(0.1, 1.0, target=0.0)

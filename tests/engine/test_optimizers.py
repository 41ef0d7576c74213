"""Muon and AdamW as one optimizer: who gets which parameter, schedules reach both, state survives."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch

from kochat.engine.optimizers import MuonWithAdamW, adamw, is_hidden_matrix, scheduled
from kochat.nn.backbones import small_gpt2


def made(model):
    return MuonWithAdamW(
        list(model.named_parameters()), learning_rate=1e-3, matrix_learning_rate=1e-2, weight_decay=0.1
    )


def gpt2():
    torch.manual_seed(0)
    return small_gpt2(60, 0, 2, layers=2, hidden=16, heads=2, positions=32)


def loss_of(model):
    ids = torch.arange(20).view(2, 10)
    return model(ids, labels=ids).loss


def test_matrices_of_the_blocks_and_nothing_else_go_to_muon():
    model = gpt2()
    chosen = {name for name, parameter in model.named_parameters() if is_hidden_matrix(name, parameter)}
    suffixes = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    assert chosen == {f"transformer.h.{block}.{suffix}" for block in range(2) for suffix in suffixes}
    optimizer = made(model)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


def test_a_schedule_reaches_both_parts():
    optimizer = made(gpt2())
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    assert [part.param_groups[0]["lr"] for part in optimizer.parts] == [0.005, 0.0005]


def test_it_trains_and_resumes_exactly():
    model = gpt2()
    optimizer = made(model)
    first = loss_of(model).item()
    for _ in range(5):
        loss_of(model).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss_of(model).item() < first
    twin, state = gpt2(), copy.deepcopy(optimizer.state_dict())
    twin.load_state_dict(model.state_dict())
    other = made(twin)
    other.load_state_dict(state)
    for one, step in ((model, optimizer), (twin, other)):
        loss_of(one).backward()
        step.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("fused", [True, False])
def test_adamw_steps_as_the_plain_one(fused):
    weights = [torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_() for _ in range(2)]
    ours = adamw([{"params": [weights[0]], "lr": 1e-2}], 0.1, fused=fused)
    plain = torch.optim.AdamW([weights[1]], lr=1e-2, weight_decay=0.1, betas=(0.9, 0.95), foreach=False, fused=False)
    for _ in range(5):
        for weight, optimizer in zip(weights, (ours, plain), strict=True):
            optimizer.zero_grad()
            weight.pow(3).sum().backward()
            optimizer.step()
    torch.testing.assert_close(*weights)


def test_rates_rise_over_the_warm_up_and_fall_to_a_tenth_at_the_last_step():
    """Twelve steps, a quarter of them warm-up: a third, two thirds, all of the peak, half a cosine, a tenth."""
    trainer = SimpleNamespace(estimated_stepping_batches=12)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = scheduled(trainer, optimizer, 0.25)["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(12):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    falling = [2.0 * (0.1 + 0.9 * (1 + math.cos(math.pi * step / 9)) / 2) for step in range(1, 10)]
    assert rates == pytest.approx([2 / 3, 4 / 3, 2.0, *falling])
    assert rates[-1] == pytest.approx(0.2)


def test_a_run_of_one_step_takes_it_at_the_full_rate():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    scheduled(SimpleNamespace(estimated_stepping_batches=1), optimizer, 0.03)
    assert optimizer.param_groups[0]["lr"] == 2.0

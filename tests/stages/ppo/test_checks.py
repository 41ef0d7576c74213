"""The checks before the first step pass on sound roles of every architecture, and name cause and remedy where one is not."""

import json
from dataclasses import replace

import pytest
import torch

from kochat.errors import UserError
from kochat.nn.adapters import adapter_parameters
from kochat.nn.decoding import GenerationSettings
from kochat.nn.role_loading import HostPool
from kochat.rewards.centring import Centring
from kochat.rewards.reward_models import RewardModel
from kochat.stages.ppo.checks import check_gradients, check_roles, tolerance
from kochat.stages.ppo.models import PPORoles, train_only
from tests.conftest import write_base
from tests.nn.test_roles import TARGETS, export, trained
from tests.stages.harness import prompt_batch

SETTINGS = GenerationSettings(8, 1.0, (0,), 2)


def load(folder, tokenizer, kind="gpt2", rank=4):
    base = write_base(folder / kind, tokenizer, kind)
    sft = export(trained("policy", base, rank, kind=kind), base, tokenizer, folder / "sft")
    rm = export(trained("reward_model", base, rank, value=True, kind=kind), base, tokenizer, folder / "rm")
    pool = HostPool()
    return PPORoles(
        pool.load("policy", sft),
        pool.load("reference", sft),
        pool.load("critic", rm, value=True),
        (RewardModel(pool.load("reward_model", rm, value=True), Centring()),),
    )


def check(roles, tokenizer, at_start=True, limit=1e-4):
    check_roles(roles, prompt_batch(tokenizer), SETTINGS, limit, at_start=at_start)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("rank", [0, 4])
def test_sound_roles_pass(tmp_path, tokenizer, kind, rank):
    check(load(tmp_path, tokenizer, kind, rank), tokenizer)


@pytest.mark.parametrize("kind", TARGETS)
def test_sound_roles_pass_in_bf16(tmp_path, tokenizer, kind):
    roles = load(tmp_path, tokenizer, kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        check(roles, tokenizer, limit=tolerance("bf16-mixed"))


def test_tolerances_by_precision():
    assert [tolerance(p) for p in ("32-true", "32", "bf16-mixed", "bf16-true", "16-mixed", "64-true")] == [
        1e-4,
        1e-4,
        0.05,
        0.05,
        0.02,
        1e-4,
    ]


def test_a_reference_that_is_another_model_is_refused_at_the_start_alone(tmp_path, tokenizer):
    """After a resumption the policy has moved from its reference, as it should."""
    roles = load(tmp_path, tokenizer)
    adapter_parameters(roles.reference.host, "reference")[1].data.add_(0.05)
    with pytest.raises(
        UserError, match=r"reference: its log-probabilities are .* nats from the policy's before a step"
    ):
        check(roles, tokenizer)
    check(roles, tokenizer, at_start=False)


def test_dropout_that_is_on_is_refused(tmp_path, tokenizer):
    """An adapter trained elsewhere may bring lora_dropout, and nobody has called eval()."""
    load(tmp_path, tokenizer)
    config = tmp_path / "sft" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"lora_dropout": 0.5}))
    pool = HostPool()
    policy = pool.load("policy", tmp_path / "sft")
    policy.host.train()
    roles = replace(load(tmp_path / "again", tokenizer), policy=policy)
    with pytest.raises(
        UserError, match=r"policy: two forward passes differ, so dropout is on; set the dropouts in its config"
    ):
        check(roles, tokenizer)


def test_an_architecture_without_positions_in_the_mask_is_refused(tmp_path, tokenizer, monkeypatch):
    """As if the model took no position_ids."""
    roles = load(tmp_path, tokenizer)
    backbone = roles.policy.host.get_base_model().transformer
    forward = backbone.forward
    monkeypatch.setattr(backbone, "forward", lambda **given: forward(**(given | {"position_ids": None})))
    with pytest.raises(
        UserError, match=r"(padding moves its output|while decoding differ).*GPT-2, GPT-NeoX, Llama or Qwen2"
    ):
        check(roles, tokenizer)


def test_broken_weights_are_refused(tmp_path, tokenizer):
    roles = load(tmp_path, tokenizer)
    adapter_parameters(roles.critic.host, "critic")[0].data[0, 0] = torch.nan
    with pytest.raises(UserError, match=r"critic: its output is not finite before a step was taken"):
        check(roles, tokenizer)


def test_a_trained_tensor_without_a_gradient_is_refused(tmp_path, tokenizer):
    roles = load(tmp_path, tokenizer)
    train_only(roles.policy.host, [roles.policy, roles.critic], [roles.reference])
    batch = prompt_batch(tokenizer)
    hidden = roles.policy.hidden(batch.input_ids, torch.ones_like(batch.input_ids, dtype=torch.bool))
    hidden.sum().backward()
    with pytest.raises(UserError, match=r"critic: 13 of 13 trained tensors get no gradient"):
        check_gradients(roles.trained())

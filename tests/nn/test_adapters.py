"""LoRA: it attaches where it is meant to, is counted, trains, and switches without side effects."""

import pytest
import torch
from peft.tuners.lora import LoraLayer

from kochat.errors import UserError
from kochat.nn.adapters import (
    AdapterSwitch,
    LoraSettings,
    adapter_parameters,
    add_adapter,
    lora_config,
    matching_layers,
)
from kochat.nn.backbones import load_base
from kochat.nn.role_loading import HostPool, new_role
from tests.conftest import head_outputs

IDS = torch.tensor([[5, 6, 7, 8]])
MASK = torch.ones(1, 4, dtype=torch.bool)


def test_parameter_count_is_the_closed_form_on_conv1d(base):
    """GPT-2, width 32, 2 blocks: c_attn 32->96, c_proj 32->32 and 128->32, c_fc 32->128; rank 8 adds 8 * (in + out)."""
    role = new_role("policy", base, LoraSettings(rank=8))
    expected = 2 * 8 * ((32 + 96) + (32 + 32) + (128 + 32) + (32 + 128))
    assert sum(p.numel() for p in adapter_parameters(role.host, "policy")) == expected
    assert sum(p.numel() for p in role.host.parameters() if p.requires_grad) == expected


def test_no_match_is_an_error_that_lists_the_names(base):
    with pytest.raises(
        UserError, match="'q_proj' matches no linear layer of this model; it has: c_attn, c_fc, c_proj, lm_head"
    ):
        matching_layers(load_base(base, "lm"), ["c_attn", "q_proj"])


def test_negative_rank_is_refused():
    with pytest.raises(UserError, match="rank=-1"):
        LoraSettings(rank=-1)


@pytest.mark.parametrize("rank", [4, 8, 16])
def test_scale_is_the_same_at_every_rank(base, rank):
    config = lora_config(load_base(base, "lm"), LoraSettings(rank=rank, alpha_over_rank=2.0))
    assert config.lora_alpha / config.r == 2.0
    assert config.fan_in_fan_out


def test_gradient_reaches_every_adapter_matrix(base):
    role = new_role("policy", base, LoraSettings(rank=4))
    for parameter in adapter_parameters(role.host, "policy"):
        torch.nn.init.normal_(parameter, std=0.1)
    head_outputs(role, IDS, MASK, 0, 4).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapter_parameters(role.host, "policy"))


def two_adapters(base):
    """A host with a trained policy adapter that is active, and a frozen reference of other weights."""
    host = new_role("policy", base, LoraSettings(rank=4)).host
    add_adapter(host, "reference", lora_config(load_base(base, "lm"), LoraSettings(rank=4)))
    for name, trained in (("policy", True), ("reference", False)):
        torch.nn.init.normal_(adapter_parameters(host, name)[1], std=0.5)
        for parameter in adapter_parameters(host, name):
            parameter.requires_grad_(trained)
    return host


def test_switching_restores_the_active_adapter_and_trainability_after_an_error(base):
    host = two_adapters(base)
    switch = AdapterSwitch(host)
    with switch.active("policy"):
        before = host(IDS).logits
        trainable = {name for name, parameter in host.named_parameters() if parameter.requires_grad}
        with switch.active("reference"):
            other = host(IDS).logits
            assert {name for name, parameter in host.named_parameters() if parameter.requires_grad} == trainable
        with pytest.raises(ZeroDivisionError), switch.active("reference"):
            _ = 1 / 0
        assert torch.equal(host(IDS).logits, before)
    assert not torch.equal(other, before)
    assert not other.requires_grad
    assert before.requires_grad
    assert {name for name, parameter in host.named_parameters() if parameter.requires_grad} == trainable
    assert trainable
    assert all(".policy." in name for name in trainable)


def test_an_adapter_that_is_active_is_not_set_again(base, monkeypatch):
    """Decoding enters its adapter at every token."""
    host = two_adapters(base)
    switch, calls = AdapterSwitch(host), []
    layer = next(module for module in host.modules() if isinstance(module, LoraLayer))
    its_own = layer.set_adapter
    monkeypatch.setattr(layer, "set_adapter", lambda names: calls.append(names) or its_own(names))
    with switch.active("reference"):
        for _ in range(3):
            with switch.active("reference"):
                pass
        assert calls == [["reference"]]
    assert calls == [["reference"], ["policy"]]


def test_an_adapter_added_later_is_switched_too(base):
    """On layers that had none before."""
    host = new_role("policy", base, LoraSettings(rank=4, targets=["c_attn"])).host
    switch = AdapterSwitch(host)
    with switch.active("policy"):
        before = host(IDS).logits
    add_adapter(host, "other", lora_config(load_base(base, "lm"), LoraSettings(rank=4, targets=["c_fc"])))
    torch.nn.init.normal_(adapter_parameters(host, "other")[1], std=0.5)
    with switch.active("policy"):
        assert torch.equal(host(IDS).logits, before)
    with switch.active("other"):
        assert not torch.equal(host(IDS).logits, before)


@pytest.mark.parametrize("change", ["output embedding", "a setting without a weight"])
def test_adapter_on_a_base_that_differs_beyond_the_backbone_is_refused(tmp_path, tokenizer, change):
    """Llama's output embedding is not tied to the input's; its rotary base shows in no weight's shape."""
    import json

    from safetensors.torch import load_file, save_file

    from kochat.nn.exports import export_info, write_export
    from tests.conftest import write_base

    folder = write_base(tmp_path / "base", tokenizer, "llama")
    role = new_role("policy", folder, LoraSettings(rank=4, targets=["q_proj"]))
    write_export(role, tokenizer, tmp_path / "sft", export_info("sft", str(folder), role.base_digest, tokenizer))
    HostPool().load("policy", tmp_path / "sft")
    if change == "output embedding":
        weights = load_file(folder / "model.safetensors")
        weights["lm_head.weight"] = torch.randn_like(weights["lm_head.weight"])
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        config = json.loads((folder / "config.json").read_text())
        config["rope_parameters"]["rope_theta"] = 5e5
        (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="trained on a base with digest"):
        HostPool().load("policy", tmp_path / "sft")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_modules": "all-linear"}, r"target_modules is the pattern 'all-linear'"),
        ({"layers_to_transform": [0]}, r"sets layers_to_transform, which kochat does not read"),
        ({"rank_pattern": {"c_attn": 2}}, r"sets rank_pattern, which kochat does not read"),
    ],
)
def test_adapters_that_cannot_be_counted_are_refused(tmp_path, tokenizer, base, change, message):
    import json

    from tests.stages.harness import write_stage

    folder = write_stage(tmp_path / "sft", base, tokenizer, 4)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        HostPool().load("policy", folder)


def test_adapter_on_a_changed_base_is_refused(tmp_path, tokenizer):
    from kochat.nn.exports import export_info, write_export
    from tests.conftest import write_base

    folder = write_base(tmp_path / "base", tokenizer)
    role = new_role("policy", folder, LoraSettings(rank=4))
    write_export(role, tokenizer, tmp_path / "sft", export_info("sft", str(folder), role.base_digest, tokenizer))
    write_base(folder, tokenizer, seed=1)
    with pytest.raises(UserError, match="trained on a base with digest"):
        HostPool().load("policy", tmp_path / "sft")

"""Roles: padding moves nothing, dropout is off, adapters share one base, exports load elsewhere."""

import json

import pytest
import torch
from peft import AutoPeftModelForCausalLM, AutoPeftModelForSequenceClassification
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from kochat.errors import UserError
from kochat.functional import position_ids
from kochat.nn.adapters import LoraSettings
from kochat.nn.backbones import load_base
from kochat.nn.exports import SCORE_KEY, export_info, read_adapter_weights, write_export
from kochat.nn.role_loading import HostPool, new_role
from kochat.nn.rows import PaddedRows, last_scores
from tests.conftest import head_outputs, write_base

TARGETS = {
    "gpt2": ["c_attn", "c_proj"],
    "gpt_neox": ["query_key_value"],
    "llama": ["q_proj", "v_proj"],
    "qwen2": ["q_proj", "v_proj"],
}
ROW = torch.tensor([[11, 12, 13, 14, 15]])


def trained(name, base, rank, *, value=False, kind="gpt2"):
    """A role whose weights differ from the base's, as after training."""
    role = new_role(name, base, LoraSettings(rank, targets=TARGETS[kind]), value=value)
    generator = torch.Generator().manual_seed(rank)
    for parameter in role.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    return role


def export(role, base, tokenizer, folder):
    reward = {"reward_mean": 0.5, "reward_std": 2.0} if role.is_value else {}
    write_export(
        role,
        tokenizer,
        folder,
        export_info("rm" if role.is_value else "sft", str(base), role.base_digest, tokenizer, **reward),
    )
    return folder


def padded(left, right, garbage):
    ids = torch.cat([torch.full((1, left), garbage), ROW, torch.full((1, right), garbage)], 1)
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    mask[:, left : left + ROW.shape[1]] = True
    return ids, mask


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("rank", [0, 4])
def test_padding_moves_no_logit_and_no_score(tmp_path, tokenizer, kind, rank):
    base = write_base(tmp_path / kind, tokenizer, kind)
    policy, reward = (
        trained("policy", base, rank, kind=kind),
        trained("reward_model", base, rank, value=True, kind=kind),
    )
    with torch.no_grad():
        logits, score = head_outputs(policy, *padded(0, 0, 0), 0, 5), last_scores(reward, PaddedRows(*padded(0, 0, 0)))
        for left, right, garbage in [(3, 0, 2), (0, 4, 2), (2, 3, 0), (5, 1, 77)]:
            ids, mask = padded(left, right, garbage)
            torch.testing.assert_close(head_outputs(policy, ids, mask, left, left + 5), logits, atol=1e-5, rtol=0)
            torch.testing.assert_close(last_scores(reward, PaddedRows(ids, mask)), score, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("rank", [0, 4])
def test_export_loads_in_transformers_and_peft(tmp_path, tokenizer, kind, rank):
    base = write_base(tmp_path / kind, tokenizer, kind)
    policy, reward = (
        trained("policy", base, rank, kind=kind),
        trained("reward_model", base, rank, value=True, kind=kind),
    )
    sft, rm = export(policy, base, tokenizer, tmp_path / "sft"), export(reward, base, tokenizer, tmp_path / "rm")
    ids, mask = padded(0, 0, 0)
    if rank:
        lm = AutoPeftModelForCausalLM.from_pretrained(sft)
        classifier = AutoPeftModelForSequenceClassification.from_pretrained(rm, num_labels=1)
        classifier.config.pad_token_id = classifier.get_base_model().config.pad_token_id = 2
    else:
        lm = AutoModelForCausalLM.from_pretrained(sft)
        classifier = AutoModelForSequenceClassification.from_pretrained(rm)
    with torch.no_grad():
        expected = head_outputs(policy, ids, mask, 0, 5)
        torch.testing.assert_close(lm.eval()(ids, position_ids=position_ids(mask)).logits, expected, atol=1e-5, rtol=0)
        score = classifier.eval()(ids).logits[:, 0]
        torch.testing.assert_close(score, last_scores(reward, PaddedRows(ids, mask)), atol=1e-5, rtol=0)
        loaded = head_outputs(HostPool().load("policy", sft), ids, mask, 0, 5)
        torch.testing.assert_close(loaded, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", TARGETS)
def test_merged_adapter_gives_the_same_logits(tmp_path, tokenizer, kind):
    """Merged into its base and loaded by transformers alone."""
    from kochat.nn.merging import copy_export

    base = write_base(tmp_path / kind, tokenizer, kind)
    policy = trained("policy", base, 4, kind=kind)
    merged = copy_export(export(policy, base, tokenizer, tmp_path / "sft"), tmp_path / "merged", merge=True)
    ids, mask = padded(0, 0, 0)
    with torch.no_grad():
        expected = head_outputs(policy, ids, mask, 0, 5)
        logits = AutoModelForCausalLM.from_pretrained(merged).eval()(ids).logits
        bare = AutoModelForCausalLM.from_pretrained(base).eval()(ids).logits
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    assert (bare - expected).abs().max() > 1e-3


def test_an_export_may_round_a_whole_model(tmp_path, tokenizer, base):
    from kochat.nn.merging import copy_export

    rounded = copy_export(base, tmp_path / "rounded", merge=False, dtype="bfloat16")
    before, after = load_base(base, "lm"), load_base(rounded, "lm")
    for name, weight in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], weight.bfloat16().float()), name
    size, full = (sum(path.stat().st_size for path in folder.glob("*.safetensors")) for folder in (rounded, base))
    assert size < 0.55 * full
    adapter = export(trained("policy", base, 4), base, tokenizer, tmp_path / "sft")
    with pytest.raises(UserError, match="holds an adapter; give --merge with --dtype"):
        copy_export(adapter, tmp_path / "no", merge=False, dtype="bfloat16")
    merged = copy_export(adapter, tmp_path / "merged", merge=True, dtype="bfloat16")
    assert load_base(merged, "lm").dtype == torch.float32  # rounded in the file, computed in float32


def test_four_adapter_roles_share_one_base(tmp_path, tokenizer, base):
    sft = export(trained("policy", base, 8), base, tokenizer, tmp_path / "sft")
    rm = export(trained("reward_model", base, 16, value=True), base, tokenizer, tmp_path / "rm")
    pool = HostPool()
    roles = [pool.load(n, sft) for n in ("policy", "reference")] + [
        pool.load(n, rm, value=True) for n in ("reward_model", "critic")
    ]
    assert len({id(role.host) for role in roles}) == len({id(role.shared) for role in roles}) == 1
    ids, mask = padded(2, 1, 9)
    with torch.no_grad():
        assert torch.equal(head_outputs(roles[0], ids, mask, 0, 8), head_outputs(roles[1], ids, mask, 0, 8))
        alone = last_scores(HostPool().load("reward_model", rm, value=True), PaddedRows(ids, mask))
        assert torch.equal(last_scores(roles[2], PaddedRows(ids, mask)), alone)


def test_whole_models_are_hosts_of_their_own(tmp_path, tokenizer, base):
    sft = export(trained("policy", base, 0), base, tokenizer, tmp_path / "sft")
    pool = HostPool()
    policy, reference = pool.load("policy", sft), pool.load("reference", sft)
    shared = {p.data_ptr() for p in policy.parameters()} & {p.data_ptr() for p in reference.parameters()}
    assert not shared


def test_dropout_is_off_even_in_train_mode(base):
    role = new_role("policy", base, LoraSettings(rank=0))
    role.host.train()
    ids, mask = padded(0, 0, 0)
    assert torch.equal(head_outputs(role, ids, mask, 0, 5), head_outputs(role, ids, mask, 0, 5))


def test_an_adapter_with_dropout_is_loaded_with_its_dropout_off(tmp_path, tokenizer, base):
    """PEFT adds adapters in training mode; scores, answers and PPO's ratio would be random."""
    role = new_role("reward_model", base, LoraSettings(rank=4, dropout=0.5), value=True)
    folder = export(role, base, tokenizer, tmp_path / "rm")
    assert json.loads((folder / "adapter_config.json").read_text())["lora_dropout"] == 0.5
    pool = HostPool()
    roles = [pool.load(name, folder, value=True) for name in ("reward_model", "critic")]
    assert not any(module.training for role in roles for module in role.host.modules())


def test_score_head_is_trainable_saved_and_loaded(tmp_path, tokenizer, base):
    role = trained("reward_model", base, 4, value=True)
    assert role.head.weight.requires_grad
    folder = export(role, base, tokenizer, tmp_path / "rm")
    assert torch.equal(read_adapter_weights(folder)[SCORE_KEY], role.head.weight)
    assert json.loads((folder / "adapter_config.json").read_text())["task_type"] == "SEQ_CLS"
    assert torch.equal(HostPool().load("critic", folder, value=True).head.weight, role.head.weight)


def test_policy_given_as_reward_model_is_refused(tmp_path, tokenizer, base):
    for rank in (0, 4):
        folder = export(trained("policy", base, rank), base, tokenizer, tmp_path / f"sft{rank}")
        with pytest.raises(UserError, match="no score head"):
            HostPool().load("reward_model", folder, value=True)


def test_misspelt_adapter_keys_are_refused(tmp_path, tokenizer, base):
    from safetensors.torch import load_file, save_file

    folder = export(trained("policy", base, 4), base, tokenizer, tmp_path / "sft")
    state = load_file(folder / "adapter_model.safetensors")
    state["base_model.model.transformer.h.9.attn.c_attn.lora_A.weight"] = state.pop(next(iter(state)))
    save_file(state, folder / "adapter_model.safetensors")
    with pytest.raises(UserError, match="2 keys differ"):
        HostPool().load("policy", folder)


def test_a_head_with_a_bias_has_the_same_outputs():
    from kochat.nn.heads import ScalarHead

    head, hidden = ScalarHead(32), torch.randn(3, 32)
    biased = head.with_bias()
    torch.testing.assert_close(biased(hidden), head(hidden))
    assert biased.bias.tolist() == [0.0]


def test_hub_layout_with_bin_weights_loads_without_unpickling_code(tmp_path, tokenizer):
    """KoGPT2's repository: config.json, tokenizer.json and a .bin; a pickle with code in it is refused."""
    from kochat.nn.backbones import load_base

    source = write_base(tmp_path / "source", tokenizer)
    state = AutoModelForCausalLM.from_pretrained(source).state_dict()
    folder = tmp_path / "hub"
    folder.mkdir()
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text((source / "config.json").read_text())
    torch.save({key: value.clone() for key, value in state.items()}, folder / "pytorch_model.bin")
    loaded = load_base(folder, "lm")
    assert torch.equal(loaded.transformer.wte.weight, state["transformer.wte.weight"])

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"transformer.wte.weight": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="could not be loaded"):
        load_base(folder, "lm")
    assert not (tmp_path / "owned").exists()


def test_incomplete_weights_are_refused(tmp_path, tokenizer):
    from safetensors.torch import load_file, save_file

    from kochat.nn.backbones import load_base

    folder = write_base(tmp_path, tokenizer)
    state = load_file(folder / "model.safetensors")
    state.pop("transformer.h.1.mlp.c_fc.weight")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="the weights lack 1 tensors"):
        load_base(folder, "lm")


def test_a_row_longer_than_the_models_positions_is_refused(base):
    """The base has 128 positions; padding beyond them is no harm."""
    role = HostPool().load("policy", base)
    ids, mask = torch.full((1, 129), 5), torch.ones(1, 129, dtype=torch.bool)
    with pytest.raises(
        UserError, match=r"policy: a row of 129 tokens is longer than the model's 128 positions; lower data"
    ):
        role.hidden(ids, mask)
    mask[:, 0] = False
    assert role.hidden(ids, mask).shape == (1, 129, 32)


def test_a_score_is_float32_under_autocast():
    """bf16 has 8 bits: 100.25 would be read as 100."""
    from kochat.nn.heads import ScalarHead

    head = ScalarHead(2, bias=True)
    head.weight.data.fill_(1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head(torch.tensor([[100.0, 0.25]])).item() == 100.25


def test_the_fused_activation_is_the_same_function(tmp_path, tokenizer):
    """GPT-2's tanh GELU in one operation: as good as the same outputs, and the digest that adapters were exported with."""
    from kochat.nn.backbones import load_base, weights_digest

    folder = write_base(tmp_path, tokenizer)
    plain, fused = AutoModelForCausalLM.from_pretrained(folder).eval(), load_base(folder, "lm")
    assert plain.config.activation_function == "gelu_new"
    assert fused.config.activation_function == "gelu_pytorch_tanh"
    assert type(fused.transformer.h[0].mlp.act) is not type(plain.transformer.h[0].mlp.act)
    assert weights_digest(fused) == weights_digest(plain)
    with torch.no_grad():
        torch.testing.assert_close(fused(ROW).logits, plain(ROW).logits, atol=1e-5, rtol=0)


def test_an_activation_that_is_the_architectures_own_keeps_its_name():
    """Gemma's is the fused one from the first: nothing is to be called otherwise."""
    from transformers import GemmaConfig

    from kochat.nn.backbones import fuse_activation, own_activation

    config = GemmaConfig(hidden_act="gelu_pytorch_tanh")
    assert fuse_activation(config).hidden_act == "gelu_pytorch_tanh"
    assert own_activation(config) == {}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("value", [False, True])
def test_an_exported_configuration_names_nothing_of_kochats(tmp_path, tokenizer, kind, value):
    """Plain transformers must find the attention and the activation of a whole model."""
    base = write_base(tmp_path / "base", tokenizer, kind)
    role = trained("reward_model" if value else "policy", base, 0, value=value, kind=kind)
    folder = export(role, base, tokenizer, tmp_path / "export")
    before, after = (json.loads((path / "config.json").read_text()) for path in (base, folder))
    assert "kochat" not in json.dumps(after)
    for key in ("activation_function", "hidden_act"):
        assert after.get(key) == before.get(key)
    auto = AutoModelForSequenceClassification if value else AutoModelForCausalLM
    assert auto.from_pretrained(folder).config._attn_implementation == "sdpa"

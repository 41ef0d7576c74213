"""Packed rows, prefixes shared, give the numbers of padded ones, gradients too, and finished answers leave the decoding batch."""

import contextlib

import pytest
import torch

from kochat.nn.decoding import GenerationSettings, generate
from kochat.nn.roles import Role
from kochat.nn.unpadded import PackedRows, last_scores
from kochat.stages.ppo.rollout import response_logprobs, response_values
from tests.conftest import write_base
from tests.nn.test_roles import TARGETS, trained


def rows():
    """Four rows: prompts of 2 to 5 tokens, padded on the left, with answers of 1 to 6, padded on the right."""
    prompts, answers = torch.tensor([2, 5, 3, 2]), torch.tensor([6, 1, 2, 3])
    columns = torch.arange(5)
    prompt_mask = columns.flip(0) < prompts.unsqueeze(1)
    response_mask = torch.arange(6) < answers.unsqueeze(1)
    ids = torch.randint(3, 400, (4, 11), generator=torch.Generator().manual_seed(0))
    ids[1, :2], ids[2, 2:4], ids[3, 3:5] = ids[0, 3:5], ids[0, 3:5], ids[0, 3:5]  # all begin alike, two with one prompt
    return ids, torch.cat([prompt_mask, response_mask], 1), response_mask


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("rank", [0, 4])
def test_packed_equals_padded(tmp_path, tokenizer, kind, rank):
    base = write_base(tmp_path, tokenizer, kind)
    policy, critic = trained("policy", base, rank, kind=kind), trained("critic", base, rank, True, kind)
    ids, mask, response_mask = rows()
    found = []
    for packing in (False, True):
        packed = PackedRows(ids, mask, packing)
        logprobs = response_logprobs(policy, packed, response_mask, 0.7)
        values, scores = response_values(critic, packed, response_mask), last_scores(critic, packed)
        assert len(packed.layout.tokens) == mask.sum() - 6
        assert policy.packs
        parameters = [p for role in (policy, critic) for p in role.parameters() if p.requires_grad]
        total = logprobs.sum() + values.square().sum() + scores.sum()
        found.append((logprobs, values, scores, *torch.autograd.grad(total, parameters)))
    for padded, packed in zip(*found, strict=True):
        torch.testing.assert_close(packed, padded, atol=2e-5, rtol=1e-4)
    assert not found[1][0][~response_mask].any()


def test_a_common_prefix_has_one_slot():
    """Rows 7 8 9, 7 8 5, 7 8 9 4 and 3: of eleven tokens six are distinct with what stands before them."""
    ids = torch.tensor([[0, 7, 8, 9, 0], [7, 8, 5, 0, 0], [0, 7, 8, 9, 4], [0, 0, 3, 0, 0]])
    layout = PackedRows(ids, ids > 0).layout
    paths = [layout.tokens[slots].tolist() for slots in layout.slots_of_real.split([3, 3, 4, 1])]
    assert paths == [[7, 8, 9], [7, 8, 5], [7, 8, 9, 4], [3]]
    assert len(layout.tokens) == 6
    assert layout.positions[layout.slots_of_real].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 0]


def test_a_prefix_is_shared_only_from_its_begin():
    """The same tokens behind another first one are other states."""
    ids = torch.tensor([[5, 7, 8], [6, 7, 8]])
    assert len(PackedRows(ids, ids > 0).layout.tokens) == 6


def test_a_row_without_a_token_is_refused():
    ids = torch.tensor([[4, 5], [0, 0]])
    with pytest.raises(ValueError, match="row 1 has no token"):
        _ = PackedRows(ids, ids > 0).layout


def unknown_models():
    """A GPT-J, whose attention is its own, a Qwen2 with a sliding window, and a GPT-2 that recomputes activations."""
    from transformers import AutoModelForCausalLM, GPT2Config, GPTJConfig, Qwen2Config

    window = {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 0}
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    gptj = GPTJConfig(vocab_size=400, n_embd=16, n_layer=2, n_head=2, rotary_dim=4, n_positions=64)
    qwen2 = Qwen2Config(vocab_size=400, intermediate_size=32, **shape, **window)
    gpt2 = GPT2Config(vocab_size=400, n_embd=16, n_layer=2, n_head=2, n_positions=64)
    models = {config.model_type: AutoModelForCausalLM.from_config(config).eval() for config in (gptj, qwen2, gpt2)}
    models["gpt2"].gradient_checkpointing_enable()
    return models


@pytest.mark.parametrize("kind", ["gptj", "qwen2", "gpt2"])
@pytest.mark.filterwarnings("ignore:policy")
def test_models_that_cannot_pack_are_padded(kind):
    """They would let rows see each other, or other tokens than they should, without a word."""
    role = Role("policy", unknown_models()[kind])
    ids, mask, response_mask = rows()
    assert not role.packs
    with torch.no_grad():
        padded, packed = (
            response_logprobs(role, PackedRows(ids, mask, packing), response_mask, 1.0) for packing in (0, 1)
        )
    assert torch.equal(packed, padded)


def test_a_forward_put_on_an_mlp_stays(tmp_path, tokenizer):
    """Others patch modules too, and an exception must not leave ours behind."""
    from kochat.nn.backbones import backbone_of
    from kochat.nn.roles import last_mlp_at

    backbone = backbone_of(trained("policy", write_base(tmp_path, tokenizer, "gpt2"), 0).host)
    mlp = backbone.h[-1].mlp
    for theirs in (None, lambda hidden: hidden):
        if theirs is not None:
            mlp.forward = theirs
        with contextlib.suppress(KeyError), last_mlp_at(backbone, torch.tensor([0])):
            assert vars(mlp)["forward"] is not theirs
            raise KeyError
        assert vars(mlp).get("forward") is theirs


def test_rows_that_are_the_same_run_once():
    ids = torch.tensor([[4, 5, 6], [4, 5, 6]])
    layout = PackedRows(ids, ids > 0).layout
    assert layout.tokens.tolist() == [4, 5, 6]
    assert layout.slots_of_real.tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_finished_rows_leave_and_change_no_answer(tmp_path, tokenizer, monkeypatch, kind, share):
    """Share 0 never drops a row, 1 drops each at once; greedy answers are the same, and so are their log-probabilities."""
    from importlib import import_module

    from kochat.nn.role_loading import HostPool

    room = import_module("kochat.nn.decoding")
    role = HostPool().load("policy", write_base(tmp_path, tokenizer, kind))
    ids, mask, _ = rows()
    settings = GenerationSettings(10, 0.0, tuple(range(0, 400, 7)), 2)  # every seventh token ends an answer
    kept = generate(role, ids[:, :5], mask[:, :5], settings)
    widths = []
    hidden = role.hidden
    monkeypatch.setattr(role, "hidden", lambda ids, *rest: widths.append(len(ids)) or hidden(ids, *rest))
    monkeypatch.setattr(room, "DROP_AT", share)
    other = generate(role, ids[:, :5], mask[:, :5], settings)
    assert torch.equal(kept.responses, other.responses)
    assert torch.equal(kept.mask, other.mask)
    assert torch.equal(kept.stopped, other.stopped)
    torch.testing.assert_close(kept.logprobs, other.logprobs, atol=1e-5, rtol=0)
    running = [4, *kept.mask.sum(0).tolist()[1:]]
    assert widths == ([4] * len(widths) if share == 0.0 else running)

"""Rows without padding, prefixes shared, give the numbers of padded ones, gradients too, and finished answers leave the decoding batch."""

import contextlib
from dataclasses import replace

import pytest
import torch

from kochat.nn.attention import give_rows_attention
from kochat.nn.backbones import backbone_of
from kochat.nn.decoding import GenerationSettings, generate
from kochat.nn.layouts import Layout
from kochat.nn.roles import Role
from kochat.nn.rows import PaddedRows, last_scores
from kochat.nn.unpadded import UnpaddedRows, last_mlp_at, obstacle_to_unpadding, rows_of
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
def test_unpadded_equals_padded(tmp_path, tokenizer, kind, rank):
    base = write_base(tmp_path, tokenizer, kind)
    policy, critic = trained("policy", base, rank, kind=kind), trained("critic", base, rank, value=True, kind=kind)
    ids, mask, response_mask = rows()
    found = []
    for unpad in (False, True):
        its = rows_of(ids, mask, unpad=unpad)
        logprobs = response_logprobs(policy, its, response_mask, 0.7)
        values, scores = response_values(critic, its, response_mask), last_scores(critic, its)
        parameters = [p for role in (policy, critic) for p in role.parameters() if p.requires_grad]
        total = logprobs.sum() + values.square().sum() + scores.sum()
        found.append((logprobs, values, scores, *torch.autograd.grad(total, parameters)))
    for padded, unpadded in zip(*found, strict=True):
        torch.testing.assert_close(unpadded, padded, atol=2e-5, rtol=1e-4)
    assert not found[1][0][~response_mask].any()


@pytest.mark.parametrize("kind", TARGETS)
def test_unpadded_rows_run_each_distinct_token_once(tmp_path, tokenizer, kind):
    """And the padded ones all columns: the two are not the same path."""
    role = trained("policy", write_base(tmp_path, tokenizer, kind), 0, kind=kind)
    ids, mask, _ = rows()
    assert not obstacle_to_unpadding(role)
    sizes = []
    role.host.get_input_embeddings().register_forward_hook(
        lambda module, inputs, output: sizes.append(inputs[0].numel())
    )
    for unpad in (False, True):
        rows_of(ids, mask, unpad=unpad).states(role, mask)
    assert sizes == [mask.numel(), mask.sum() - 6]


def test_a_common_prefix_has_one_slot():
    """Rows 7 8 9, 7 8 5, 7 8 9 4 and 3: of eleven tokens six are distinct with what stands before them."""
    ids = torch.tensor([[0, 7, 8, 9, 0], [7, 8, 5, 0, 0], [0, 7, 8, 9, 4], [0, 0, 3, 0, 0]])
    layout = Layout(ids, ids > 0)
    paths = [layout.tokens[slots].tolist() for slots in layout.slots_of_real.split([3, 3, 4, 1])]
    assert paths == [[7, 8, 9], [7, 8, 5], [7, 8, 9, 4], [3]]
    assert len(layout.tokens) == 6
    assert layout.positions[layout.slots_of_real].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 0]


def test_a_prefix_is_shared_only_from_its_begin():
    """The same tokens behind another first one are other states."""
    ids = torch.tensor([[5, 7, 8], [6, 7, 8]])
    assert len(Layout(ids, ids > 0).tokens) == 6


def test_a_row_without_a_token_is_refused():
    ids = torch.tensor([[4, 5], [0, 0]])
    with pytest.raises(ValueError, match="row 1 has no token"):
        _ = Layout(ids, ids > 0)


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


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("gptj", "attention of a gptj"),
        ("qwen2", "attention of a qwen2 with these settings"),
        ("gpt2", "gradient checkpointing is on"),
    ],
)
def test_models_that_cannot_be_unpadded_are_padded_with_one_warning(kind, reason):
    """They would let rows see each other, or other tokens than they should; each row alone says what is right."""
    role = Role("policy", give_rows_attention(unknown_models()[kind]))
    ids, mask, _ = rows()
    assert obstacle_to_unpadding(role)
    with torch.no_grad(), pytest.warns(UserWarning, match=reason) as told:
        states = [UnpaddedRows(ids, mask).states(role, mask) for _ in range(2)][1]
    assert len([warning for warning in told if str(warning.message).startswith("policy: its rows")]) == 1
    with torch.no_grad():
        alone = [role.hidden(row[real][None], real[real][None])[0] for row, real in zip(ids, mask, strict=True)]
    torch.testing.assert_close(states, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_an_attention_that_somebody_set_is_left_in_place(tmp_path, tokenizer):
    role = trained("policy", write_base(tmp_path, tokenizer), 0)
    role.host.set_attn_implementation("eager")
    ids, mask, _ = rows()
    with pytest.warns(UserWarning, match="its attention was set to 'eager'"):
        states = UnpaddedRows(ids, mask).states(role, mask)
    assert torch.equal(states, PaddedRows(ids, mask).states(role, mask))
    assert role.host.config._attn_implementation == "eager"


def test_the_last_mlp_is_as_before_after_an_error(tmp_path, tokenizer):
    """Hooks of others stay, and an exception must not leave ours behind."""
    backbone = backbone_of(trained("policy", write_base(tmp_path, tokenizer, "gpt2"), 0).host)
    mlp, seen = backbone.h[-1].mlp, []
    mlp.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[1]))
    hidden = torch.randn(1, 5, 32)
    whole = mlp(hidden)
    with contextlib.suppress(KeyError), last_mlp_at(backbone, torch.tensor([3, 1, 3])):
        some = mlp(hidden)
        raise KeyError
    assert torch.equal(mlp(hidden), whole)
    assert seen == [5, 2, 5]
    torch.testing.assert_close(some[:, [1, 3]], whole[:, [1, 3]])
    assert not some[:, [0, 2, 4]].any()


def test_rows_that_are_the_same_run_once():
    ids = torch.tensor([[4, 5, 6], [4, 5, 6]])
    layout = Layout(ids, ids > 0)
    assert layout.tokens.tolist() == [4, 5, 6]
    assert layout.slots_of_real.tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_finished_rows_leave_and_change_no_answer(tmp_path, tokenizer, monkeypatch, kind, share):
    """Share 0 never drops a row, 1 drops each at once; greedy answers are the same, and so are their log-probabilities."""
    from kochat.nn.role_loading import HostPool

    role = HostPool().load("policy", write_base(tmp_path, tokenizer, kind))
    ids, mask, _ = rows()
    settings = GenerationSettings(10, 0.0, tuple(range(0, 400, 7)), 2)  # every seventh token ends an answer
    kept = generate(role, ids[:, :5], mask[:, :5], settings)
    widths = []
    hidden = role.hidden
    monkeypatch.setattr(role, "hidden", lambda ids, *rest: widths.append(len(ids)) or hidden(ids, *rest))
    other = generate(role, ids[:, :5], mask[:, :5], replace(settings, drop_share=share))
    assert torch.equal(kept.responses, other.responses)
    assert torch.equal(kept.mask, other.mask)
    assert torch.equal(kept.stopped, other.stopped)
    torch.testing.assert_close(kept.logprobs, other.logprobs, atol=1e-5, rtol=0)
    running = [4, *kept.mask.sum(0).tolist()[1:]]
    assert widths == ([4] * len(widths) if share == 0.0 else running)

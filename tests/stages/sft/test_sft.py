"""SFT: the loss falls on completion and EOS alone, only the adapter learns, and answers end."""

import json
from dataclasses import replace

import pytest
import torch

from kochat.errors import UserError
from kochat.nn.adapters import LoraSettings
from kochat.nn.decoding import generate
from kochat.nn.role_loading import HostPool
from kochat.stages.sft.module import SFTModule
from tests.stages.harness import BatchData, prompt_batch, text_batch, trainer

PAIRS = [("안녕하세요", "반갑습니다!"), ("프랑스의 수도는 어디인가요?", "파리입니다.")]


def module(base, rank=8, **options):
    sft = SFTModule(base=str(base), lora=LoraSettings(rank), max_new_tokens=24, **options)
    sft.configure_model()
    return sft


def fitted(tmp_path, base, tokenizer, steps=100, **options):
    sft = module(base, learning_rate=2e-2, **options)
    run = trainer(tmp_path, max_epochs=1)
    run.fit(sft, datamodule=BatchData([text_batch(tokenizer, PAIRS)] * steps))
    return sft, run


def test_loss_is_the_cross_entropy_of_completion_and_eos(base, tokenizer):
    sft = module(base)
    batch = text_batch(tokenizer, PAIRS)
    logits = sft.role("policy").host(input_ids=batch.input_ids).logits  # right padding: causal rows see no pad
    nats = []
    for row, (start, end) in enumerate(zip(batch.prompt_lengths.tolist(), batch.lengths.tolist(), strict=True)):
        assert batch.input_ids[row, end - 1] == tokenizer.eos_token_id
        for position in range(start, end):
            logprobs = logits[row, position - 1].double().log_softmax(-1)
            nats.append(-logprobs[batch.input_ids[row, position]].item())
    loss, count = sft.loss(batch)
    assert count == len(nats)
    assert loss.item() == pytest.approx(sum(nats) / len(nats), abs=1e-5)


def test_eos_carries_loss_where_pad_is_eos(base, tokenizer):
    """What stands in the pads, EOS itself included, and how many there are, changes nothing."""
    sft = module(base)
    batch = text_batch(tokenizer, PAIRS)
    columns = torch.arange(batch.input_ids.shape[1])
    pads = columns >= batch.lengths.unsqueeze(1)
    assert pads.any()
    expected, count = sft.loss(batch)
    with_eos = torch.where(pads, tokenizer.eos_token_id, batch.input_ids)
    wider = torch.cat([with_eos, torch.full((2, 5), tokenizer.eos_token_id)], 1)
    for ids in (with_eos, wider):
        loss, again = sft.loss(replace(batch, input_ids=ids))
        torch.testing.assert_close(loss, expected)
        assert again == count


def test_a_prompt_is_no_target(base, tokenizer):
    """Without its prompt as a target a row's loss is smaller or larger, never the same."""
    sft = module(base)
    batch = text_batch(tokenizer, PAIRS)
    loss, count = sft.loss(batch)
    whole, all_tokens = sft.loss(replace(batch, prompt_lengths=torch.zeros(2, dtype=torch.long)))
    assert count == (batch.lengths - batch.prompt_lengths).sum()
    assert all_tokens == (batch.lengths - 1).sum()  # nothing predicts the first token
    assert abs(whole - loss) > 0.01


def test_lora_trains_the_adapter_alone(tmp_path, base, tokenizer):
    sft = module(base)
    assert {name.split(".")[-3] for name, p in sft.named_parameters() if p.requires_grad} == {"lora_A", "lora_B"}
    before = {name: p.detach().clone() for name, p in sft.named_parameters()}
    trainable = {name for name, p in sft.named_parameters() if p.requires_grad}
    trainer(tmp_path).fit(sft, datamodule=BatchData([text_batch(tokenizer, PAIRS)] * 3))
    assert {name for name, p in sft.named_parameters() if not torch.equal(p, before[name])} == trainable


def test_rank_0_trains_everything(base):
    sft = module(base, rank=0)
    assert all(p.requires_grad for p in sft.parameters())
    assert not any("lora" in name for name, _ in sft.named_parameters())


def test_it_learns_answers_and_when_to_stop_and_its_export_answers_alike(tmp_path, base, tokenizer):
    sft, _ = fitted(tmp_path, base, tokenizer)
    sft.trainer = trainer(tmp_path)
    batch = prompt_batch(tokenizer, [prompt for prompt, _ in PAIRS])
    assert sft.answer(batch) == [completion for _, completion in PAIRS]
    drawn = generate(sft.role("policy"), batch.input_ids, batch.mask, sft.answering.settings())
    assert drawn.stopped.all()
    sft.export(tmp_path / "export")
    config = json.loads((tmp_path / "export" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["r"]) == (str(base), 8)
    again = HostPool().load("policy", tmp_path / "export")
    reloaded = generate(again, batch.input_ids, batch.mask, sft.answering.settings())
    assert torch.equal(reloaded.responses, drawn.responses)
    torch.testing.assert_close(reloaded.logprobs, drawn.logprobs, atol=1e-5, rtol=0)


def test_a_checkpoint_holds_what_is_trained_and_refuses_strange_keys(tmp_path, base, tokenizer):
    sft, run = fitted(tmp_path, base, tokenizer, steps=2)
    run.save_checkpoint(tmp_path / "last.ckpt")
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert state.keys() == {name for name, p in sft.named_parameters() if p.requires_grad}
    other = module(base)
    other.load_state_dict(state)
    for name, parameter in other.named_parameters():
        torch.testing.assert_close(parameter, sft.get_parameter(name), rtol=0, atol=0)
    key = sorted(state)[0]
    with pytest.raises(UserError, match="2 keys differ"):
        other.load_state_dict({**{k: v for k, v in state.items() if k != key}, key + "x": state[key]})
    with pytest.raises(UserError, match="1 keys differ"):
        other.load_state_dict({k: v for k, v in state.items() if k != key})


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "llama", "qwen2"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_unpadded_rows_cannot_see_each_other(tmp_path, tokenizer, kind, attention):
    """Loss and gradient of examples without padding are those of the same examples, each padded to a row of its own."""
    from kochat.nn.unpadded import obstacle_to_unpadding
    from tests.conftest import write_base

    pairs = [
        ("안녕하세요", "네"),
        ("안녕", "오늘 날씨가 참 좋네요."),
        ("파리는 어디인가요?", "반갑습니다!"),
        ("네", "네"),
    ]
    batch = text_batch(tokenizer, pairs)
    base, found = write_base(tmp_path, tokenizer, kind), []
    for unpad in (False, True):
        sft = module(base, rank=0, unpad=unpad)
        if not unpad:
            sft.role("policy").host.set_attn_implementation(attention)
        assert (not obstacle_to_unpadding(sft.role("policy"))) == unpad
        loss, count = sft.loss(batch)
        found.append((loss, count, *torch.autograd.grad(loss, list(sft.parameters()))))
    for padded, unpadded in zip(*found, strict=True):
        torch.testing.assert_close(unpadded, padded, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_in_every_precision(tmp_path, base, tokenizer, precision):
    """Lightning refuses to clip for some optimizers under mixed precision."""
    run = trainer(tmp_path, precision=precision, gradient_clip_val=1.0)
    run.fit(module(base), datamodule=BatchData([text_batch(tokenizer, PAIRS)]))
    assert run.global_step == 1


def test_stop_tokens_end_answers_and_go_with_the_export(tmp_path, base, tokenizer):
    from kochat.nn.exports import read_info

    sft = SFTModule(base=str(base), lora=LoraSettings(4), stop_tokens=["."])
    sft.configure_model()
    stop = tokenizer.get_vocab()["."]
    assert sft.answering.settings().stop_ids == (tokenizer.eos_token_id, stop)
    sft.export(tmp_path / "export")
    assert read_info(tmp_path / "export").stop_tokens == (".",)
    odd = SFTModule(base=str(base), stop_tokens=["<|im_end|>"])
    with pytest.raises(UserError, match=r"model\.stop_tokens: '<\|im_end\|>' is no single token"):
        odd.answering.settings()

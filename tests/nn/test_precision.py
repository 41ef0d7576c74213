"""Frozen matrices that are cast once give what autocast gives, bit for bit; what is trained or tied stays float32."""

import pytest
import torch

from kochat.errors import UserError
from kochat.nn.adapters import LoraSettings
from kochat.nn.decoding import GenerationSettings, generate
from kochat.nn.precision import cast_frozen_matrices
from kochat.stages.sft.module import SFTModule
from tests.conftest import write_base
from tests.nn.test_roles import TARGETS, trained
from tests.stages.harness import BatchData, text_batch, trainer


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("rank", [0, 4])
def test_a_frozen_base_cast_once_changes_no_bit(tmp_path, tokenizer, kind, rank):
    role = trained("policy", write_base(tmp_path, tokenizer, kind), rank, kind=kind)
    for parameter in role.host.parameters() if rank == 0 else ():
        parameter.requires_grad_(False)
    ids = torch.randint(3, 400, (3, 6), generator=torch.Generator().manual_seed(0))
    mask, settings = torch.ones_like(ids, dtype=torch.bool), GenerationSettings(5, 1.0, (0,), 2)
    found = []
    for cast in (False, True):
        if cast:
            cast_frozen_matrices(role.host, "bf16-mixed")
            assert torch.bfloat16 in {parameter.dtype for parameter in role.host.parameters()}
        with torch.autocast("cpu", torch.bfloat16):
            drawn = generate(role, ids, mask, settings, torch.Generator().manual_seed(0))
            states = role.hidden(ids, mask)[:, -1]
            logprobs = role.logprobs(states, ids[:, 0])
        found.append((drawn.responses, drawn.logprobs, states, logprobs.detach()))
    for plain, once in zip(*found, strict=True):
        assert torch.equal(plain, once)


def test_what_is_trained_or_read_by_more_than_products_stays(tmp_path, tokenizer):
    role = trained("policy", write_base(tmp_path, tokenizer, "gpt2"), 4)
    cast_frozen_matrices(role.host, "32-true")
    assert {parameter.dtype for parameter in role.host.parameters()} == {torch.float32}
    cast_frozen_matrices(role.host, "bf16-mixed")
    for name, parameter in role.host.named_parameters():
        matrix = any(part in name for part in ("c_attn", "c_proj", "c_fc")) and not parameter.requires_grad
        assert (parameter.dtype == torch.bfloat16) == matrix, name


def test_a_model_of_its_own_that_is_trained_in_part_stays(tmp_path, tokenizer):
    """Its export holds the frozen part too, which rounding would change."""
    host = trained("policy", write_base(tmp_path, tokenizer, "gpt2"), 0).host
    host.transformer.h[0].requires_grad_(False)
    cast_frozen_matrices(host, "bf16-mixed")
    assert {parameter.dtype for parameter in host.parameters()} == {torch.float32}


def test_after_a_mixed_fit_another_precision_is_refused(tmp_path, base, tokenizer):
    """Frozen weights are bfloat16 then, and a product with float32 would end in a traceback."""
    sft = SFTModule(base=str(base), lora=LoraSettings(4))
    data = BatchData([text_batch(tokenizer, [("안녕하세요", "네")])])
    trainer(tmp_path, precision="bf16-mixed").fit(sft, datamodule=data)
    assert {parameter.dtype for parameter in sft.trainable_parameters()} == {torch.float32}
    trainer(tmp_path, precision="bf16-mixed").fit(sft, datamodule=data)
    with pytest.raises(UserError, match="fitted in bf16-mixed"):
        trainer(tmp_path).fit(sft, datamodule=data)


def test_the_cast_output_embedding_follows_its_weight(tmp_path, tokenizer):
    role = trained("policy", write_base(tmp_path, tokenizer, "gpt2"), 4)
    weight, copy = role.host.get_output_embeddings().weight, role.shared.output
    once = copy.of(weight, torch.bfloat16)
    assert copy.of(weight, torch.bfloat16) is once
    with torch.no_grad():
        weight.add_(1)
    assert torch.equal(copy.of(weight, torch.bfloat16), weight.bfloat16())
    assert copy.of(weight, torch.float32) is weight

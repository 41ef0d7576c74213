"""Frozen matrices that are cast once give what autocast gives, bit for bit; what is trained or tied stays float32."""

import pytest
import torch

from kochat.models import precision
from kochat.models.precision import cast_frozen_matrices
from kochat.rollout import GenerationSettings, generate
from tests.conftest import write_base
from tests.models.test_roles import TARGETS, trained


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


def test_the_cast_output_embedding_follows_its_weight(tmp_path, tokenizer):
    host = trained("policy", write_base(tmp_path, tokenizer, "gpt2"), 4).host
    weight = host.get_output_embeddings().weight
    once = precision.cast_once(host, weight, torch.bfloat16)
    assert precision.cast_once(host, weight, torch.bfloat16) is once
    weight.data.mul_(2)
    with torch.no_grad():
        weight.add_(1)
    assert torch.equal(precision.cast_once(host, weight, torch.bfloat16), weight.bfloat16())
    assert precision.cast_once(host, weight, torch.float32) is weight

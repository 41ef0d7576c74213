"""Packed rows give the numbers of padded ones, in value and gradient, and finished answers leave the decoding batch."""

import pytest
import torch

from kochat.rollout import GenerationSettings, PackedRows, generate, response_logprobs, response_values
from kochat.rollout.collect import last_scores
from tests.conftest import write_base
from tests.models.test_roles import TARGETS, trained


def rows():
    """Four rows: prompts of 2 to 5 tokens, padded on the left, with answers of 1 to 6, padded on the right."""
    prompts, answers = torch.tensor([2, 5, 3, 2]), torch.tensor([6, 1, 2, 3])
    columns = torch.arange(5)
    prompt_mask = columns.flip(0) < prompts.unsqueeze(1)
    response_mask = torch.arange(6) < answers.unsqueeze(1)
    ids = torch.randint(3, 400, (4, 11), generator=torch.Generator().manual_seed(0))
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
        logprobs, logits = response_logprobs(policy, packed, response_mask, 0.7)
        values, scores = response_values(critic, packed, response_mask), last_scores(critic, packed)
        assert (packed.segments is None) is not packing
        parameters = [p for role in (policy, critic) for p in role.parameters() if p.requires_grad]
        total = logprobs.sum() + values.square().sum() + scores.sum()
        found.append((logprobs, logits, values, scores, *torch.autograd.grad(total, parameters)))
    for padded, packed in zip(*found, strict=True):
        torch.testing.assert_close(packed, padded, atol=2e-5, rtol=1e-4)
    assert not found[1][0][~response_mask].any()
    assert len(found[1][1]) == response_mask.sum()


def test_rows_share_a_row_as_long_as_the_longest():
    """Lengths 8, 6, 5 and 5 fill rows of 8: none can share. With 3 in place of 8 one pair can."""
    ids, mask, _ = rows()
    assert PackedRows(ids, mask).shape == (4, 8)  # narrower than the padded 11 all the same
    mask[0, 2:] = False
    mask[0, 3:6] = True  # 3 tokens
    packed = PackedRows(ids, mask)
    assert packed.shape == (4, 6)
    mask[1] = False
    mask[1, 4:6] = True
    assert PackedRows(ids, mask).shape == (3, 5)


def test_rows_without_padding_stay_as_they_are():
    assert PackedRows(torch.ones(3, 4, dtype=torch.long), torch.ones(3, 4, dtype=torch.bool)).segments is None


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_finished_rows_leave_and_change_no_answer(tmp_path, tokenizer, monkeypatch, kind, share):
    """Share 0 never drops a row, 1 drops each at once; greedy answers are the same, and so are their log-probabilities."""
    from importlib import import_module

    from kochat.models.loading import HostPool

    room = import_module("kochat.rollout.generate")
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

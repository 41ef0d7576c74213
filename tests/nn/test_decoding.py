"""Generation: transformers' own greedy answers, stop tokens that belong to the answer, and a draw at the temperature."""

import warnings
from dataclasses import replace

import pytest
import torch
from peft.tuners.lora import LoraLayer

from kochat.nn.decoding import GenerationSettings, decode, draw, generate
from kochat.nn.role_loading import HostPool
from tests.conftest import write_base
from tests.stages.harness import prompt_batch, write_stage

SETTINGS = GenerationSettings(max_new_tokens=12, temperature=0.0, stop_ids=(0,), pad_id=2)


@pytest.fixture(scope="module")
def role(base):
    return HostPool().load("policy", base)


def prompts(tokenizer, width=0):
    batch = prompt_batch(tokenizer, width=width)
    columns = torch.arange(batch.input_ids.shape[1]).flip(0)
    return batch.input_ids, columns < batch.lengths.unsqueeze(1)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "llama", "qwen2"])
def test_greedy_is_that_of_transformers(tmp_path, tokenizer, kind):
    role = HostPool().load("policy", write_base(tmp_path, tokenizer, kind))
    ids, mask = prompts(tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # an argument that transformers will drop
        ours = generate(role, ids, mask, SETTINGS)
    theirs = role.host.generate(
        ids, attention_mask=mask.long(), do_sample=False, max_new_tokens=12, eos_token_id=0, pad_token_id=2
    )
    assert torch.equal(ours.responses, theirs[:, ids.shape[1] :])


def test_wider_padding_changes_no_answer(role, tokenizer):
    narrow = generate(role, *prompts(tokenizer), SETTINGS)
    wide = generate(role, *prompts(tokenizer, width=30), SETTINGS)
    assert torch.equal(narrow.responses, wide.responses)
    torch.testing.assert_close(narrow.logprobs, wide.logprobs, atol=1e-5, rtol=0)


def test_a_stop_token_belongs_to_the_answer_and_pads_follow(role, tokenizer):
    """Take the third token of the first answer as a stop token."""
    free = generate(role, *prompts(tokenizer), replace(SETTINGS, stop_ids=()))
    assert free.mask.all()
    assert not free.stopped.any()
    stop = free.responses[0, 2].item()
    ends = [row.index(stop) + 1 if stop in row else 12 for row in free.responses.tolist()]
    assert ends[0] <= 3
    held = generate(role, *prompts(tokenizer), replace(SETTINGS, stop_ids=(0, stop), pad_id=7))
    assert held.responses.shape[1] == max(ends)
    assert held.mask.sum(1).tolist() == ends
    assert held.stopped.tolist() == [stop in row for row in free.responses.tolist()]
    for row, end in enumerate(ends):
        assert held.responses[row, :end].tolist() == free.responses[row, :end].tolist()
        assert held.responses[row, end:].eq(7).all()
        assert held.logprobs[row, end:].eq(0).all()
        assert held.mask[row, :end].all()


def test_length_limit_counts_tokens(role, tokenizer):
    result = generate(role, *prompts(tokenizer), replace(SETTINGS, max_new_tokens=3, stop_ids=()))
    assert result.responses.shape == result.logprobs.shape == (4, 3)
    assert not result.stopped.any()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_logprobs_are_those_of_the_draw(role, tokenizer, temperature):
    """They come from the raw logits divided by the temperature, over the whole vocabulary."""
    ids, mask = prompts(tokenizer)
    settings = replace(SETTINGS, temperature=temperature, stop_ids=())
    drawn = generate(role, ids, mask, settings, torch.Generator().manual_seed(3))
    sequence = torch.cat([ids[0][mask[0]], drawn.responses[0]])  # the first row, without padding
    logits = role.host(input_ids=sequence.unsqueeze(0)).logits[0, -13:-1]
    expected = (logits / temperature).log_softmax(-1).gather(1, drawn.responses[0].unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(drawn.logprobs[0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_draws_follow_the_distribution_at_the_temperature(temperature):
    """Odds of 1 : 2 : 4 become 1 : 4 : 16 at temperature 0.5, and 1 : 1.41 : 2 at 2; no token is cut off."""
    logits = torch.tensor([1.0, 2.0, 4.0]).log().expand(20_000, -1)
    tokens, logprobs = draw(logits, temperature, torch.Generator().manual_seed(0))
    odds = torch.tensor([1.0, 2.0, 4.0]) ** (1 / temperature)
    probabilities = odds / odds.sum()
    torch.testing.assert_close(torch.bincount(tokens) / 20_000, probabilities, atol=0.02, rtol=0)
    torch.testing.assert_close(logprobs, probabilities.log()[tokens])


@pytest.mark.parametrize("size", [3, 128, 300])
def test_draws_pass_a_chi_square_test(size):
    """The bound is four standard deviations."""
    count = 40_000
    logits = torch.randn(size, generator=torch.Generator().manual_seed(1))
    tokens, _ = draw(logits.expand(count, -1), 1.0, torch.Generator().manual_seed(0))
    expected = count * logits.softmax(-1)
    statistic = ((torch.bincount(tokens, minlength=size) - expected).square() / expected).sum()
    assert abs(statistic - (size - 1)) < 4 * (2 * (size - 1)) ** 0.5


def test_tokens_of_probability_zero_are_never_drawn():
    """Single tokens, a third of the vocabulary, and all but its last token."""
    logits = torch.full((3, 300), -torch.inf)
    logits[0, ::2], logits[1, :128], logits[2, 299] = 0.0, 0.0, -90.0
    generator = torch.Generator().manual_seed(0)
    for _ in range(500):
        tokens, logprobs = draw(logits, 1.0, generator)
        assert tokens[0] % 2 == 0
        assert tokens[1] < 128
        assert tokens[2] == 299
        assert logprobs.isfinite().all()


def test_a_row_is_drawn_whatever_the_others_are():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(3, 300, generator=generator)
    other = torch.stack(
        [-5 * logits[0], logits[1], torch.full((300,), -torch.inf).index_fill_(0, torch.tensor(7), 0.0)]
    )
    drawn, again = (draw(x.repeat(200, 1), 1.0, torch.Generator().manual_seed(0)) for x in (logits, other))
    assert torch.equal(drawn[0][1::3], again[0][1::3])
    assert torch.equal(drawn[1][1::3], again[1][1::3])
    assert drawn[0][1::3].unique().numel() > 50


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_logprobs_are_exact_for_wide_logits(temperature):
    """Logits around 500, whose exponentials overflow, and tokens of small probability."""
    logits = 20 * torch.randn(400, 300, generator=torch.Generator().manual_seed(3)) + 500
    tokens, logprobs = draw(logits, temperature, torch.Generator().manual_seed(0))
    exact = (logits.double() / (temperature or 1.0)).log_softmax(-1).gather(1, tokens.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(logprobs.double(), exact, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "llama", "qwen2"])
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_logprobs_are_those_of_a_pass_without_a_cache(tmp_path, tokenizer, kind, temperature):
    """Rows leave the batch as they end; each alone, without padding or cache, has the same numbers."""
    role = HostPool().load("policy", write_base(tmp_path, tokenizer, kind))
    ids, mask = prompts(tokenizer)
    settings = replace(SETTINGS, temperature=temperature, stop_ids=tuple(range(0, 400, 7)))
    drawn = generate(role, ids, mask, settings, torch.Generator().manual_seed(5))
    assert len(drawn.mask.sum(1).unique()) > 1
    for row in range(len(ids)):
        response = drawn.responses[row][drawn.mask[row]]
        with torch.no_grad():
            logits = role.host(input_ids=torch.cat([ids[row][mask[row]], response]).unsqueeze(0)).logits[0]
        scores = (logits[-len(response) - 1 : -1] / (temperature or 1.0)).log_softmax(-1)
        expected = scores.gather(1, response.unsqueeze(1)).squeeze(1)
        torch.testing.assert_close(drawn.logprobs[row][drawn.mask[row]], expected, atol=1e-4, rtol=0)
        assert temperature > 0 or torch.equal(response, scores.argmax(1))


def test_the_adapter_is_switched_once_and_not_at_every_token(tmp_path, base, tokenizer, monkeypatch):
    sft = write_stage(tmp_path / "sft", base, tokenizer, 4)
    pool, calls = HostPool(), []
    policy, reference = pool.load("policy", sft), pool.load("reference", sft)
    layer = next(module for module in policy.host.modules() if isinstance(module, LoraLayer))
    its_own = layer.set_adapter
    monkeypatch.setattr(layer, "set_adapter", lambda names: calls.append(names) or its_own(names))
    with reference.active():
        calls.clear()
        generate(policy, *prompts(tokenizer), replace(SETTINGS, stop_ids=()))
        assert calls == [["policy"], ["reference"]]


def test_a_generator_makes_draws_reproducible(role, tokenizer):
    settings = replace(SETTINGS, temperature=1.0)
    draws = [
        generate(role, *prompts(tokenizer), settings, torch.Generator().manual_seed(seed)).responses.tolist()
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


class IdsOnly:
    """A tokenizer that can only decode: encoding, padding or batching would fail."""

    def decode(self, ids, skip_special_tokens):
        assert isinstance(ids, list)
        assert skip_special_tokens
        return " ".join(map(str, ids)) + " "


def test_decode_takes_the_masked_ids_as_they_are():
    responses = torch.tensor([[5, 6, 0], [7, 2, 2]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    assert decode(IdsOnly(), responses, mask) == ["5 6 0", "7"]


def test_decode_leaves_special_tokens_out_and_shows_hangul(tokenizer):
    ids = [*tokenizer("오늘 날씨가 참 좋네요.")["input_ids"], tokenizer.eos_token_id]
    assert decode(tokenizer, torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.bool)) == [
        "오늘 날씨가 참 좋네요."
    ]
    jamo = tokenizer("ᄏᄏᄏ")["input_ids"]  # conjoining jamo, as KoGPT2's tokenizer makes of ㅋㅋㅋ
    assert decode(tokenizer, torch.tensor([jamo]), torch.ones(1, len(jamo), dtype=torch.bool)) == ["ㅋㅋㅋ"]


def test_the_largest_uniform_number_draws_the_last_token_that_has_weight(monkeypatch):
    """Also where its product with the sum is rounded up to the sum; tokens behind that one have weight 0."""
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.full(shape, 1.0, dtype=options["dtype"]))
    logits = torch.tensor(
        [[0.0, 1.0, 2.0, -torch.inf, -torch.inf], [-torch.inf, 3.0, -torch.inf, -torch.inf, -torch.inf]]
    )
    tokens, _ = draw(logits, 1.0, None)
    assert tokens.tolist() == [2, 1]
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.zeros(shape, dtype=options["dtype"]))
    assert draw(logits, 1.0, None)[0].tolist() == [0, 1]


def test_a_row_that_is_no_distribution_ends_in_a_number_that_is_not_finite():
    _, logprobs = draw(torch.tensor([[torch.nan, 0.0], [0.0, 0.0]]), 1.0, torch.Generator().manual_seed(0))
    assert logprobs.isfinite().tolist() == [False, True]


def test_given_random_numbers_are_looked_up_in_the_cumulative_probabilities():
    """Shares 0.25, 0, 0.5, 0.25: the borders are 0.25 and 0.75, and a token of probability 0 is never drawn."""
    logits = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).log().repeat(7, 1)
    uniform = torch.tensor([0.0, 0.2499, 0.2501, 0.5, 0.7499, 0.7501, 1 - 2**-53], dtype=torch.float64)
    token, logprob = draw(logits, 1.0, None, uniform)
    assert token.tolist() == [0, 0, 2, 2, 2, 3, 3]
    assert logprob.exp().tolist() == pytest.approx([0.25, 0.25, 0.5, 0.5, 0.5, 0.25, 0.25])


def test_given_random_numbers_draw_at_the_temperature():
    logits = torch.tensor([[0.0, 1.0, -1.0, 0.5]]).repeat(20_000, 1)
    uniform = torch.rand(20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    token, _ = draw(logits, 0.7, None, uniform)
    shares = torch.bincount(token, minlength=4) / len(token)
    torch.testing.assert_close(shares, (logits[0] / 0.7).softmax(-1), atol=0.01, rtol=0)


def test_with_given_random_numbers_an_answer_does_not_depend_on_the_other_rows(role, tokenizer):
    ids, mask = prompts(tokenizer)
    stops = (0, *range(1, 400, 5))  # answers of different lengths: rows leave the batch
    settings = replace(SETTINGS, temperature=1.0, stop_ids=stops)
    uniforms = torch.rand(len(ids), 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    together = generate(role, ids, mask, settings, uniforms=uniforms)
    assert len(set(together.mask.sum(1).tolist())) > 1
    for row in range(len(ids)):
        alone = generate(role, ids[row : row + 1], mask[row : row + 1], settings, uniforms=uniforms[row : row + 1])
        kept = alone.mask[0]
        assert alone.responses[0][kept].tolist() == together.responses[row][together.mask[row]].tolist()

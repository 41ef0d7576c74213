"""The unit of the reward: the spread of the SFT model's own answers to one prompt, the same in every run and on resume."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from kochat.errors import RunError, UserError
from kochat.nn.decoding import GenerationSettings, generate
from kochat.rewards.centring import Centring
from kochat.stages.ppo import unit_measurement as unit_module
from kochat.stages.ppo.module import PPOModule
from kochat.stages.ppo.unit_measurement import measured_unit
from tests.stages.harness import BatchData, prompt_batch, trainer
from tests.stages.ppo.test_ppo import loaded, module

SETTINGS = GenerationSettings(6, 1.0, (0,), 2)


def judge(score, std=1.0):
    """Return a reward model with a given raw score for rows."""
    return SimpleNamespace(raw_scores=score, centring=Centring(0.5, std))


def by_prompt_and_parity(rows):
    """100 points for the prompt, and one for an even id before EOS."""
    last = rows.mask.sum(1) - 2
    left = torch.stack([row[keep][place] for row, keep, place in zip(rows.sequences, rows.mask, last, strict=True)])
    return 100.0 * torch.arange(len(left)) + (left % 2 == 0).float()


def test_the_unit_has_no_differences_between_prompts_in_it(tmp_path, base, tokenizer):
    """Prompts differ by 100, answers to one prompt by 0 or 1: the unit is the spread of the latter, in raw scores."""
    roles, batch = loaded(tmp_path, base, tokenizer).roles, prompt_batch(tokenizer)
    generator = torch.Generator().manual_seed(0)
    even = []
    for _ in range(8):
        answers = generate(roles.reference, batch.input_ids, batch.mask, SETTINGS, generator)
        last = [row[keep & (row != 0)][-1:] for row, keep in zip(answers.responses, answers.mask, strict=True)]
        before = batch.input_ids[:, -1]
        ids = [int(tail) if len(tail) else int(end) for tail, end in zip(last, before, strict=True)]
        even.append([float(id_ % 2 == 0) for id_ in ids])
    expected = torch.tensor(even).T.var(dim=1).mean().sqrt().item()
    assert 0.1 < expected < 0.6
    for std in (1.0, 7.0):  # the held-out spread cancels
        judged = replace(roles, reward_models=(judge(by_prompt_and_parity, std),))
        assert measured_unit(judged, [batch], SETTINGS, 8, unpad=False) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("score", [0.0, float("nan"), float("inf")])
def test_a_unit_of_nothing_is_refused_with_a_remedy(tmp_path, base, tokenizer, score):
    roles = loaded(tmp_path, base, tokenizer).roles
    judged = replace(roles, reward_models=(judge(lambda rows: torch.full((len(rows.sequences),), score)),))
    with pytest.raises(RunError, match=r"reward_unit=per_prompt: .* give reward_unit held_out"):
        measured_unit(judged, [prompt_batch(tokenizer)], SETTINGS, 2)


def test_data_without_validation_prompts_is_refused(tmp_path, base, tokenizer):
    with pytest.raises(
        UserError, match=r"reward_unit=per_prompt is measured on validation prompts, and the data has none"
    ):
        measured_unit(loaded(tmp_path, base, tokenizer).roles, [], SETTINGS, 8)


def units(tmp_path, ppo, tokenizer, seed=0):
    torch.manual_seed(seed)
    run = trainer(tmp_path)
    run.fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)]))
    return run, ppo.roles.reward_models[0].centring


def test_each_kind_of_unit(tmp_path, base, tokenizer):
    """`write_stage` exports the mean 0.25 and the held-out spread 2."""
    assert units(tmp_path, module(tmp_path, base, tokenizer, reward_unit="raw"), tokenizer)[1] == Centring(0.25, 1.0)
    assert units(tmp_path, module(tmp_path, base, tokenizer, reward_unit="held_out"), tokenizer)[1] == Centring(
        0.25, 2.0
    )
    run, centring = units(tmp_path, module(tmp_path, base, tokenizer), tokenizer)
    assert centring.mean == 0.25
    assert 0 < centring.std < 2
    assert run.callback_metrics["ppo/reward_unit"] == pytest.approx(centring.std)
    with pytest.raises(UserError, match=r"model\.reward_unit='sd' is no unit; choose one of per_prompt, held_out, raw"):
        module(tmp_path, base, tokenizer, reward_unit="sd")
    with pytest.raises(UserError, match=r"model\.unit_samples=1 has no standard deviation; give 2 or more"):
        module(tmp_path, base, tokenizer, unit_samples=1)


def test_the_unit_is_the_same_in_every_run_and_is_restored(tmp_path, base, tokenizer, monkeypatch):
    """Another seed of the run changes nothing; a resumed run takes the checkpoint's and measures nothing."""
    run, first = units(tmp_path, module(tmp_path, base, tokenizer), tokenizer)
    models = {name: str(tmp_path / folder) for name, folder in (("policy", "sft"), ("reward_model", "rm"))}
    _, second = units(tmp_path, PPOModule(**models, max_new_tokens=8), tokenizer, seed=5)
    assert first == second
    run.save_checkpoint(tmp_path / "last.ckpt")
    monkeypatch.setattr(unit_module, "measured_unit", lambda *args, **options: pytest.fail("measured again"))
    resumed = PPOModule(**models, max_new_tokens=8, critic_warmup=0)
    again = trainer(tmp_path, max_epochs=2)
    again.fit(
        resumed, datamodule=BatchData([prompt_batch(tokenizer)]), ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    assert resumed.roles.reward_models[0].centring == first
    assert resumed.schedule.rollouts == 2


def test_the_units_of_an_ensemble_keep_their_ratio(tmp_path, base, tokenizer):
    roles = loaded(tmp_path, base, tokenizer).roles
    first, second = judge(by_prompt_and_parity, 2.0), judge(by_prompt_and_parity, 6.0)
    models = [replace(roles.reward_models[0], centring=each.centring) for each in (first, second)]
    scaled = replace(roles, reward_models=tuple(models)).in_unit(0.5)
    assert [model.centring.std for model in scaled.reward_models] == [0.5, 1.5]
    assert scaled.unit == 0.5

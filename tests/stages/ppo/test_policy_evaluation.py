"""What is measured of a policy: on held-out prompts before the first update and at every validation, and on the test prompts."""

import csv
import json

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from kochat.nn.decoding import decode, generate
from kochat.nn.unpadded import rows_of
from kochat.stages.ppo.metrics import objective
from kochat.stages.ppo.module import PPOModule
from kochat.stages.ppo.policy_evaluation import greedy_answers, greedy_rewards, sampled_rows, validation_figures
from kochat.stages.ppo.rollout import ended
from tests.stages.harness import BatchData, prompt_batch, trainer
from tests.stages.ppo.test_ppo import attached, loaded, module


def moved(ppo):
    """Move the policy away from its reference."""
    for parameter in ppo.roles.policy.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    return ppo


def test_the_objective_by_hand():
    kl = torch.tensor([[1.0, 2.0, 0.0], [0.5, 0.0, 0.0]])
    assert objective(torch.tensor([4.0, -1.0]), kl, 0.1).tolist() == pytest.approx([3.7, -1.05])


def test_validation_figures_are_those_of_sampled_and_greedy_answers(tmp_path, base, tokenizer):
    ppo = moved(attached(tmp_path, loaded(tmp_path, base, tokenizer, kl_coef=0.3, missing_eos_penalty=2.0)))
    batch = prompt_batch(tokenizer)
    found = {name: value.item() for name, (value, _) in validation_figures(ppo, batch, 3).items()}
    rollout = ppo.rollout(batch, torch.Generator().manual_seed(3))
    rewards, kl = ppo.rewards(rollout)
    assert found["val_reward"] == pytest.approx(rewards.mean().item(), rel=1e-5)
    assert found["val_kl_sequence"] == pytest.approx(kl.sum(1).mean().item(), rel=1e-5)
    assert abs(found["val_kl_sequence"]) > 0.01
    assert found["val_objective"] == pytest.approx(found["val_reward"] - 0.3 * found["val_kl_sequence"], rel=1e-5)
    settings = ppo.answering.settings()
    greedy = generate(ppo.roles.policy, batch.input_ids, batch.mask, settings)
    ids, mask = torch.cat([batch.input_ids, greedy.responses], 1), torch.cat([batch.mask, greedy.mask], 1)
    (judge,) = ppo.roles.reward_models
    with torch.no_grad():
        raw = judge.raw_scores(rows_of(*ended(ids, mask, greedy.stopped, settings.eos_id), unpad=False))
    expected = judge.centring(raw) - 2.0 * (~greedy.stopped).float()
    torch.testing.assert_close(greedy_rewards(ppo, batch, greedy_answers(ppo, batch)), expected, atol=1e-5, rtol=1e-5)
    assert found["val_accuracy"] == 0  # of the one prompt whose fact the judge knows
    assert "val_accuracy" not in validation_figures(ppo, prompt_batch(tokenizer, ["안녕"]), 3)
    assert found["val_greedy_reward"] == pytest.approx(expected.mean().item(), rel=1e-4)


def test_the_sft_model_is_validated_before_the_first_update(tmp_path, base, tokenizer):
    """Step 0 has the weighted mean over the batches, at KL 0; the validation after the run differs."""
    batches = [prompt_batch(tokenizer), prompt_batch(tokenizer, ["안녕"])]
    logger = CSVLogger(tmp_path)
    ppo = module(tmp_path, base, tokenizer)
    trainer(tmp_path, logger=logger).fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)] * 2, batches))
    logger.save()
    with open(f"{logger.log_dir}/metrics.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["ppo/val_reward"]]
    assert rows[0]["step"] == "0"
    assert len(rows) == 2
    first, last = rows
    assert float(first["ppo/val_kl_sequence"]) == 0
    assert first["ppo/val_objective"] == first["ppo/val_reward"]
    fresh = PPOModule(policy=ppo.options.policy, reward_model=ppo.options.reward_model, max_new_tokens=8)
    fresh.configure_model()
    fresh = attached(tmp_path, fresh)
    fresh.roles = fresh.roles.in_unit(ppo.reward_unit)
    means = [validation_figures(fresh, batch, number)["val_reward"] for number, batch in enumerate(batches)]
    expected = sum(mean.item() * weight for mean, weight in means) / sum(weight for _, weight in means)
    assert float(first["ppo/val_reward"]) == pytest.approx(expected, rel=1e-4)
    assert float(last["ppo/val_kl_sequence"]) != 0


def test_sampled_test_answers_have_reward_and_kl(tmp_path, base, tokenizer):
    ppo = moved(attached(tmp_path, loaded(tmp_path, base, tokenizer, test_samples=3, missing_eos_penalty=0.0)))
    batch = prompt_batch(tokenizer)
    rows = sampled_rows(ppo, batch, 2)
    assert rows == sampled_rows(ppo, batch, 2)
    assert [row["id"] for row in rows] == batch.ids
    generator = torch.Generator().manual_seed(2)
    (judge,) = ppo.roles.reward_models
    for number in range(3):
        rollout = ppo.rollout(batch, generator)
        texts = decode(tokenizer, rollout.responses, rollout.mask)
        kl = (rollout.old_logprobs - rollout.ref_logprobs).masked_fill(~rollout.mask, 0).sum(1)
        for place, row in enumerate(rows):
            assert row["answers"][number] == texts[place]
            assert row["raw_scores"][number] == pytest.approx(rollout.raw_scores[place].item(), abs=1e-5)
            assert row["rewards"][number] == pytest.approx(judge.centring(row["raw_scores"][number]), abs=1e-5)
            assert row["kl"][number] == pytest.approx(kl[place].item(), abs=1e-5)


def test_a_test_after_the_fit_writes_and_logs_the_sampled_answers(tmp_path, base, tokenizer):
    ppo = module(tmp_path, base, tokenizer, test_samples=2, kl_coef=0.2)
    run = trainer(tmp_path)
    data = BatchData([prompt_batch(tokenizer)], [prompt_batch(tokenizer), prompt_batch(tokenizer, ["안녕"])])
    data.validation[1].ids = ["other"]
    run.fit(ppo, datamodule=data)
    run.test(ppo, datamodule=data, verbose=False)
    rows = [json.loads(line) for line in (tmp_path / "ppo_samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["id"] for row in rows} == {"0", "1", "2", "3", "other"}
    assert all(len(row[name]) == 2 for row in rows for name in ("answers", "rewards", "raw_scores", "kl"))
    means = {name: sum(sum(row[name]) for row in rows) / 10 for name in ("rewards", "kl")}
    figures = {name: run.callback_metrics[f"ppo/test_{name}"].item() for name in ("reward", "kl_sequence", "objective")}
    assert figures["reward"] == pytest.approx(means["rewards"], rel=1e-4)
    assert figures["kl_sequence"] == pytest.approx(means["kl"], rel=1e-4)
    assert figures["objective"] == pytest.approx(means["rewards"] - 0.2 * means["kl"], rel=1e-4)

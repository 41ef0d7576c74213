"""Best-of-n end to end on tiny models: what it writes, logs and refuses, and that neither ranks nor batches change an answer."""

import json
from dataclasses import replace
from itertools import combinations
from statistics import fmean, stdev

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from kochat.engine.answer_evaluation import AnswerEvaluation
from kochat.errors import RunError, UserError
from kochat.functional import best_of_kl
from kochat.nn.decoding import generate
from kochat.nn.unpadded import rows_of
from kochat.rewards.centring import Centring
from kochat.stages.best_of_n.candidates import uniforms_of
from kochat.stages.best_of_n.module import BestOfNModule
from kochat.stages.best_of_n.rewards_of_n import curve, per_prompt_centring, sizes
from tests.stages.harness import PROMPTS, Batches, prompt_batch, trainer, write_stage

N = 4


class Prompts(L.LightningDataModule):
    """Give every rank its share of the test prompts, in batches of ``size``; the last prompt is a fixed one."""

    def __init__(self, tokenizer, size=4) -> None:
        super().__init__()
        self.tokenizer, self.size = tokenizer, size

    def test_dataloader(self) -> DataLoader:
        kinds = ["held_out"] * (len(PROMPTS) - 1) + ["fixed"]
        whole = replace(prompt_batch(self.tokenizer), kinds=kinds, references=["네", "파리", "좋아요", None])
        own = whole.shard(self.trainer.global_rank, self.trainer.world_size)
        parts = [own.part(slice(start, start + self.size)) for start in range(0, len(own.ids), self.size)]
        return DataLoader(Batches(parts), batch_size=None)


@pytest.fixture(scope="module")
def sources(tmp_path_factory, base, tokenizer):
    folder = tmp_path_factory.mktemp("sources")
    sft, rm = (write_stage(folder / str(value), base, tokenizer, 4, value) for value in (False, True))
    return {"policy": str(sft), "reward_model": str(rm)}


def module(sources, tokenizer, **options):
    stops = [token for token, id_ in tokenizer.get_vocab().items() if id_ % 5 == 1]  # answers of different lengths
    return BestOfNModule(**({"n": N, "max_new_tokens": 6, "stop_tokens": stops} | sources | options))


def run_test(folder, stage, data, **options):
    run = trainer(folder, callbacks=[AnswerEvaluation()], use_distributed_sampler=False, **options)
    run.test(stage, datamodule=data, verbose=False)
    return run


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory, sources, tokenizer):
    folder, stage = tmp_path_factory.mktemp("run"), module(sources, tokenizer)
    metrics = run_test(folder, stage, Prompts(tokenizer)).callback_metrics
    return stage, {name: float(value) for name, value in metrics.items()}, folder


def test_every_prompt_has_n_answers_and_its_best_is_the_answer(run):
    _, _, folder = run
    rows, samples = lines(folder / "best_of_n.jsonl"), lines(folder / "samples.jsonl")
    assert [row["prompt"] for row in rows] == PROMPTS
    for row, sample in zip(rows, samples, strict=True):
        assert row.keys() == {"id", "prompt", "kind", "answers", "raw_scores", "rewards"}
        assert len(row["answers"]) == len(row["raw_scores"]) == len(row["rewards"]) == N
        best = max(range(N), key=row["raw_scores"].__getitem__)
        assert (sample["id"], sample["answer"]) == (row["id"], row["answers"][best])
    assert len({answer for row in rows for answer in row["answers"]}) > N


def test_the_unit_is_the_spread_within_test_prompts_and_the_zero_the_demonstrations(run):
    """Variances by hand, without the fixed prompt; the export's mean is 0.25 (`write_stage`)."""
    _, metrics, folder = run
    rows = lines(folder / "best_of_n.jsonl")
    unit = fmean(stdev(row["raw_scores"]) ** 2 for row in rows if row["kind"] != "fixed") ** 0.5
    assert metrics["best_of_n/reward_unit"] == pytest.approx(unit, rel=1e-5)
    assert metrics["best_of_n/reward_zero"] == 0.25
    for row in rows:
        assert row["rewards"] == pytest.approx([(raw - 0.25) / unit for raw in row["raw_scores"]], rel=1e-5)


def test_the_logged_curve_is_that_of_the_file(run):
    _, metrics, folder = run
    rows = [row for row in lines(folder / "best_of_n.jsonl") if row["kind"] != "fixed"]
    for k in (1, 2, 4):
        best = fmean(max(subset) for row in rows for subset in combinations(row["rewards"], k))
        assert metrics[f"best_of_n/reward_{k}"] == pytest.approx(best, rel=1e-5)
        assert metrics[f"best_of_n/kl_{k}"] == pytest.approx(best_of_kl(k), abs=1e-6)
    logged = {name for name in metrics if name.startswith("best_of_n/")}
    assert logged == {f"best_of_n/{name}_{k}" for name in ("reward", "kl") for k in (1, 2, 4)} | {
        "best_of_n/reward_unit",
        "best_of_n/reward_zero",
    }


def test_scores_are_the_reward_models_own(run, tokenizer):
    """A stopped answer that reads back as its own ids, scored alone behind its prompt."""
    stage, _, folder = run
    checked = 0
    for row in lines(folder / "best_of_n.jsonl"):
        prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
        settings, uniforms = stage.answering.settings(1.0), uniforms_of([row["id"]], N, 6)
        ids = torch.tensor([prompt] * N)
        drawn = generate(stage.role("policy"), ids, torch.ones_like(ids, dtype=torch.bool), settings, uniforms=uniforms)
        for number in range(N):
            answer = drawn.responses[number][drawn.mask[number]].tolist()
            answer = answer[:-1] if drawn.stopped[number] else answer
            whole = torch.tensor([prompt + answer + [tokenizer.eos_token_id]])
            score = stage.reward_model.raw_scores(rows_of(whole, torch.ones_like(whole, dtype=torch.bool), unpad=False))
            assert row["raw_scores"][number] == pytest.approx(float(score), abs=1e-4)
            checked += 1
    assert checked == N * len(PROMPTS)


def test_neither_batches_nor_a_second_test_change_an_answer(run, tmp_path, sources, tokenizer):
    stage, _, folder = run
    first = lines(folder / "best_of_n.jsonl")
    run_test(tmp_path / "small", stage, Prompts(tokenizer, size=1))
    again = lines(tmp_path / "small" / "best_of_n.jsonl")
    assert [row["answers"] for row in again] == [row["answers"] for row in first]
    for row, other in zip(first, again, strict=True):
        assert row["raw_scores"] == pytest.approx(other["raw_scores"], abs=1e-4)


@pytest.mark.slow
def test_two_ranks_write_the_rows_of_one(run, tmp_path, sources, tokenizer):
    _, _, folder = run
    run_test(tmp_path, module(sources, tokenizer), Prompts(tokenizer), strategy="ddp_spawn", devices=2)
    for name in ("best_of_n.jsonl", "samples.jsonl"):
        one, two = lines(folder / name), lines(tmp_path / name)
        assert [row["id"] for row in two] == [row["id"] for row in one]
        for row, other in zip(one, two, strict=True):
            numbers = [key for key in ("raw_scores", "rewards") if key in row]
            assert {**row, **dict.fromkeys(numbers)} == {**other, **dict.fromkeys(numbers)}
            for key in numbers:
                assert row[key] == pytest.approx(other[key], abs=1e-4)


@pytest.mark.parametrize(("unit", "std"), [("held_out", 2.0), ("raw", 1.0)])
def test_other_units(tmp_path, sources, tokenizer, unit, std):
    metrics = run_test(tmp_path, module(sources, tokenizer, reward_unit=unit, n=1), Prompts(tokenizer)).callback_metrics
    assert (float(metrics["best_of_n/reward_zero"]), float(metrics["best_of_n/reward_unit"])) == (0.25, std)
    [first, *_] = lines(tmp_path / "best_of_n.jsonl")
    assert first["rewards"] == pytest.approx([(raw - 0.25) / std for raw in first["raw_scores"]])


def test_predict_gives_the_best_answers_too(run, tokenizer):
    stage, _, folder = run
    assert stage.answer(prompt_batch(tokenizer)) == [row["answer"] for row in lines(folder / "samples.jsonl")]


def test_the_seed_is_the_prompts_id():
    both, second = uniforms_of(["a", "b"], 3, 5), uniforms_of(["b"], 3, 5)
    assert torch.equal(both[3:], second)
    assert not torch.equal(both[:3], second)
    assert len(second.unique()) == 15


def test_powers_and_n_itself_are_logged():
    assert [sizes(n) for n in (1, 2, 12, 16)] == [[1], [1, 2], [1, 2, 4, 8, 12], [1, 2, 4, 8, 16]]
    assert curve([[0.0, 1.0, 2.0], [3.0, 3.0, 3.0]]) == pytest.approx(
        {
            "reward_1": 2,
            "kl_1": 0,
            "reward_2": (5 / 3 + 3) / 2,
            "kl_2": best_of_kl(2),
            "reward_3": 2.5,
            "kl_3": best_of_kl(3),
        }
    )


@pytest.mark.parametrize("scores", [[1.0, 1.0], [1.0, float("nan")]])
def test_answers_without_a_spread_have_no_unit(scores):
    with pytest.raises(
        RunError, match=r"model\.reward_unit=per_prompt: .* cannot be a unit; train the reward model longer"
    ):
        per_prompt_centring([{"raw_scores": scores}], Centring(0.0, 1.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, r"model\.temperature=0\.0 draws nothing"),
        ({"reward_unit": "metre"}, r"model\.reward_unit='metre' is no unit; choose one of per_prompt, held_out, raw"),
        ({"n": 1}, r"model\.n=1 has no standard deviation for reward_unit per_prompt"),
        ({"n": 0}, r"model\.n=0 is too small"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(UserError, match=message):
        BestOfNModule(**options)


def test_models_that_do_not_fit_are_refused(tmp_path, sources, base, tokenizer):
    swapped = {"policy": sources["reward_model"], "reward_model": sources["policy"]}
    with pytest.raises(UserError, match=r"is a reward model, which answers nothing|was exported without a validation"):
        run_test(tmp_path, module(swapped, tokenizer), Prompts(tokenizer))

"""From sample data to the tested policy through the command line: each stage, two ranks, bf16, and what is not repeated."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kochat.cli import main
from kochat.run_parsing import finished_run
from tests.engine.test_hparams_tab import hparams_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
LIMITS = {"limit_train": 8, "limit_validation": 4, "limit_test": 3, "max_prompt_length": 96}
SIZES = {"batch_size": 4, "eval_batch_size": 8}
STAGES = {"sft": "sft_lora16", "rm": "rm_lora16", "ppo": "ppo_kl01"}
DDP = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with cleaned sample data."""
    from kochat.cleaning.cleaner import clean
    from kochat.world.generator import write_sample

    folder = tmp_path_factory.mktemp("work")
    write_sample(folder / "data" / "v1", 0, "tiny")
    clean(folder / "data" / "v1", folder / "data" / "v2")
    return folder


def arguments(work, name, *extra, command="fit", logs="logs", steps=2):
    """Return the command line of a small run."""
    stage = name.split("_")[0]
    options = {"trainer.max_steps": steps, "trainer.accelerator": "cpu", "trainer.enable_progress_bar": "false"}
    options |= {"logs_dir": work / logs, "data.init_args.data_dir": work / "data"}
    options |= {f"data.init_args.{key}": value for key, value in (LIMITS | SIZES).items()}
    options["data.init_args.block_size" if stage == "pretrain" else "data.init_args.max_length"] = 128
    if stage != "rm":
        options["model.init_args.max_new_tokens"] = 6
    if stage in ("sft", "rm", "baseline"):
        options["model.init_args.base"] = "pretrain"
    if stage == "pretrain":
        options |= {
            "model.init_args.size.layers": 1,
            "model.init_args.size.hidden": 32,
            "model.init_args.size.heads": 2,
        }
        options |= {"model.init_args.vocab_size": 400, "data.init_args.limit_characters": 20_000}
    if stage == "ppo":
        options |= {"model.init_args.ppo_epochs": 1, "model.init_args.minibatch_size": 4}
    flags = [str(part) for key, value in options.items() for part in (f"--{key}", value)]
    return [command, "--config", str(CONFIGS / f"{name}.yaml"), *flags, *map(str, extra)]


def run(work, name, *extra, **options):
    """Run a stage in this process; return its newest folder."""
    assert main(arguments(work, name, *extra, **options)) == 0
    folder = work / options.get("logs", "logs") / name
    return max(folder.glob("version_*"), key=lambda path: int(path.name.split("_")[1]))


def launch(work, name, *extra, **options):
    """Run a stage as a command: Lightning starts the second rank by itself."""
    command = [sys.executable, "-m", "kochat", *arguments(work, name, *extra, **options)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return Path(result.stdout.splitlines()[-1].removeprefix("kochat: "))


@pytest.fixture(scope="module")
def finished(work):
    """All stages, each starting from the one before by its run name."""
    return {name: run(work, name) for name in ("pretrain", "sft_lora16", "rm_lora16", "ppo_kl01")}


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def last_epoch(folder):
    """Return the highest epoch in a training metric's row (the test's rows count one more)."""
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    trained = [key for key in rows[0] if "/" in key and not key.startswith(("test/", "rm/test_", "ppo/test_"))]
    return max(int(row["epoch"]) for row in rows if any(row[key] for key in trained))


def done(folder):
    return json.loads((folder / "done.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["pretrain", "sft_lora16", "rm_lora16", "ppo_kl01"])
def test_each_stage_leaves_a_finished_run(finished, name):
    folder = finished[name]
    assert folder.name == "version_0"
    record = done(folder)
    assert record["stage"] == name.split("_")[0]
    assert record["name"] == name
    assert record["tokens"] > record["steps"] > 0
    assert 0 < record["parameters"]["trainable"] <= record["parameters"]["total"]
    assert any(key.endswith("train_loss") or key == "ppo/reward" for key in record["metrics"])
    shown = hparams_of(folder)
    assert (shown["run"], shown["stage"], shown["seed"]) == (name, record["stage"], 0)
    assert shown.get("model.lora.rank") == (None if name == "pretrain" else 16)
    assert {f"{record['stage']}/{each}" for each in ("learning_rate", "tokens_per_second")} <= record["metrics"].keys()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"config.yaml", "metrics.csv", "done.json"} <= {path.name for path in folder.iterdir()}
    assert any(path.name.startswith("events.out.tfevents") for path in files)
    newest = max(path.stat().st_mtime_ns for path in files)
    assert (folder / "done.json").stat().st_mtime_ns == newest
    steps = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert {"epoch", "step"} <= set(steps[0].split(","))
    assert len(steps) > 1


def test_best_of_n_is_finished_by_its_test(work, finished):
    """Its answers are those of an answering stage; two ranks write the same ones."""
    import re

    shutil.copytree(work / "logs", work / "best")
    options = ["--model.init_args.n", 4, "--model.init_args.reward_unit", "per_prompt"]
    folder = run(work, "best_of_n", *options, command="test", logs="best")
    record = done(folder)
    assert (record["stage"], record["parameters"]["trainable"], record["tokens"]) == ("best_of_n", 0, 0)
    assert folder.name == "version_0"
    rows, samples = lines(folder / "best_of_n.jsonl"), lines(folder / "samples.jsonl")
    assert {row["id"]: max(zip(row["raw_scores"], row["answers"], strict=True))[1] for row in rows} == {
        row["id"]: row["answer"] for row in samples
    }
    assert {row["id"] for row in samples} == {row["id"] for row in lines(finished["sft_lora16"] / "samples.jsonl")}
    defined = set(re.findall(r"`(\w+/\w+)`", (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")))
    assert {"best_of_n/reward_4", "best_of_n/kl_4", "test/bleu"} <= record["metrics"].keys() <= defined
    again = launch(work, "best_of_n", *options, *DDP, command="test", logs="best")
    assert again.name == "version_1"
    answers = {row["id"]: row["answers"] for row in lines(again / "best_of_n.jsonl")}
    assert answers == {row["id"]: row["answers"] for row in rows}
    assert done(again)["metrics"]["best_of_n/reward_4"] == pytest.approx(
        record["metrics"]["best_of_n/reward_4"], rel=1e-3
    )


def test_every_logged_metric_is_defined_in_the_docs(finished):
    import re

    defined = set(re.findall(r"`(\w+(?:/\w+)+)`", (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")))
    logged = {name for folder in finished.values() for name in done(folder)["metrics"]}
    logged = {re.sub(r"^rm/test_pairs/\w+$", "rm/test_pairs/KIND", name) for name in logged}
    assert sorted(logged - defined) == []


def test_samples_are_the_test_set_and_the_fixed_prompts(finished):
    from kochat.data.fixed_prompts import FIXED_PROMPTS

    for name in ("pretrain", "sft_lora16", "ppo_kl01"):
        rows = lines(finished[name] / "samples.jsonl")
        assert all(row.keys() == {"id", "prompt", "reference", "answer", "kind", "scores"} for row in rows)
        fixed = [row for row in rows if row["kind"] == "fixed"]
        assert {row["prompt"] for row in fixed} == set(FIXED_PROMPTS.values())
        assert all(row["reference"] is None and row["scores"] == {} for row in fixed)
        assert len(rows) == 3 + len(fixed)
        assert all(row["scores"].keys() == {"bleu", "rouge_l", "chrf"} for row in rows if row["kind"] != "fixed")


def test_reward_models_scores_are_kept(finished):
    rows = lines(finished["rm_lora16"] / "rm_scores.jsonl")
    assert rows
    assert all(len(row["completions"]) == len(row["scores"]) == 3 for row in rows)
    assert {"rm/accuracy", "rm/margin", "rm/score_best", "rm/score_middle", "rm/score_worst"} <= done(
        finished["rm_lora16"]
    )["metrics"].keys()


def test_reward_statistics_are_those_of_the_exported_weights(work, finished):
    """max_steps ends the run in the middle of an epoch, before any validation."""
    from kochat.nn.exports import read_info

    shutil.copytree(work / "logs", work / "short")
    folder = run(work, "rm_lora16", logs="short", steps=1)
    info = read_info(folder / "export")
    assert info.reward_mean == pytest.approx(done(folder)["metrics"]["rm/reward_mean"], abs=1e-6)
    unmeasured = run(work, "rm_lora16", "--trainer.limit_val_batches", "0", logs="short", steps=1)
    assert read_info(unmeasured / "export").reward_mean is None


def test_exports_load_in_peft(finished):
    """The policy's adapter sits on the original base, as the SFT adapter does."""
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    base = finished["pretrain"] / "export"
    ids = torch.tensor([[5, 6, 7]])
    outputs = []
    for name in ("sft_lora16", "ppo_kl01"):
        config = PeftConfig.from_pretrained(finished[name] / "export")
        assert Path(config.base_model_name_or_path).samefile(base)
        assert config.r == 16
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), finished[name] / "export")
        outputs.append(model(input_ids=ids).logits)
    assert not torch.equal(*outputs)
    scorer = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    scorer.config.pad_token_id = 2
    scorer = PeftModel.from_pretrained(scorer, finished["rm_lora16"] / "export")
    assert scorer(input_ids=ids).logits.shape == (1, 1)


def test_test_loads_the_trained_weights(work, finished):
    """It answers as the run itself did, and leaves a folder of its own."""
    assert main(arguments(work, "sft_lora16", command="test")) == 0
    again = lines(work / "logs" / "sft_lora16" / "test_0" / "samples.jsonl")
    assert again == lines(finished["sft_lora16"] / "samples.jsonl")
    assert not (work / "logs" / "sft_lora16" / "test_0" / "done.json").exists()


@pytest.mark.parametrize("name", STAGES.values())
def test_validate_loads_the_trained_weights(work, finished, name):
    """PPO's judges come with its trained policy."""
    assert main(arguments(work, name, command="validate")) == 0
    with (work / "logs" / name / "validate_0" / "metrics.csv").open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    key = {"sft_lora16": "sft/val_loss", "rm_lora16": "rm/val_loss", "ppo_kl01": "ppo/val_kl"}[name]
    assert float(row[key]) == pytest.approx(done(finished[name])["metrics"][key], rel=1e-3, abs=1e-5)


def test_ppo_samples_answers_to_the_test_prompts(work, finished, tmp_path):
    """After the fit, and by `test` alone with the unit of the run; without the reward model only greedy answers are written."""
    folder = finished["ppo_kl01"]
    sampled = lines(folder / "ppo_samples.jsonl")
    assert [row["id"] for row in sampled] == [row["id"] for row in lines(folder / "samples.jsonl")]
    assert {len(row[name]) for row in sampled for name in ("answers", "rewards", "raw_scores", "kl")} == {4}
    metrics = done(folder)["metrics"]
    assert {"ppo/reward_unit", "ppo/test_reward", "ppo/test_kl_sequence", "ppo/test_objective"} <= metrics.keys()
    assert main(arguments(work, "ppo_kl01", command="test")) == 0
    again = lines(work / "logs" / "ppo_kl01" / "test_0" / "ppo_samples.jsonl")
    for row, other in zip(sampled, again, strict=True):
        assert row["answers"] == other["answers"]
        assert row["rewards"] == pytest.approx(other["rewards"], abs=1e-4)
    shutil.copytree(work / "logs", tmp_path / "logs")
    shutil.rmtree(tmp_path / "logs" / "rm_lora16")
    with pytest.warns(
        UserWarning, match=r"the figures of sampled answers are left out: model\.reward_model: no finished"
    ):
        assert main(arguments(work, "ppo_kl01", command="test", logs=tmp_path / "logs")) == 0
    assert not (tmp_path / "logs" / "ppo_kl01" / "test_1" / "ppo_samples.jsonl").exists()
    assert (tmp_path / "logs" / "ppo_kl01" / "test_1" / "samples.jsonl").exists()


def test_a_removed_option_names_the_new_one(work, capsys):
    assert main(arguments(work, "ppo_kl01", "--model.init_args.scale_reward", "false")) != 0
    assert "it is called 'reward_unit' now" in capsys.readouterr().err


def test_predict_writes_its_answers(work, finished):
    assert main(arguments(work, "sft_lora16", command="predict")) == 0
    answers = lines(work / "logs" / "sft_lora16" / "predict_0" / "answers.jsonl")
    told = {row["id"]: row["answer"] for row in lines(finished["sft_lora16"] / "samples.jsonl")}
    assert {row["id"]: row["answer"] for row in answers} == told


@pytest.mark.parametrize(
    ("command", "name", "extra", "message"),
    [
        ("fit", "sft_lora16", ["--trainer.logger", "false"], "trainer.logger=false leaves the run without a folder"),
        ("fit", "sft_lora16", ["--ckpt_path", "lost.ckpt"], "ckpt_path: no checkpoint 'lost.ckpt'"),
        ("fit", "ppo_kl01", ["--trainer.gradient_clip_val", "1.0"], "gradient clipping is not supported for manual"),
        (
            "fit",
            "ppo_kl01",
            ["--trainer.precision", "16-true"],
            "trainer.precision=16-true overflows in float16 weights",
        ),
        ("fit", "ppo_kl01", ["--model.init_args.policy", "rm_lora16"], "is a reward model, which answers nothing"),
        (
            "fit",
            "sft_lora16",
            ["--data.init_args.max_length", "300"],
            "data.max_length: 300 tokens are more than the 256",
        ),
        ("fit", "baseline", [], "the baseline is not trained: python -m kochat test --config "),
        ("predict", "rm_lora16", [], "predict: RewardModule answers no prompts"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(work, finished, capsys, command, name, extra, message):
    shutil.copytree(work / "logs", work / "refused", dirs_exist_ok=True)  # what stops at its first step leaves a folder
    assert main(arguments(work, name, *extra, command=command, logs="refused")) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_run_without_a_logger_leaves_the_working_directory_alone(work, finished, tmp_path, monkeypatch):
    """It once wrote its export over ./export."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "mine.txt").write_text("mine")
    assert main(arguments(work, "sft_lora16", "--trainer.logger", "false")) == 2
    for command, name in (("fit", "sft_lora16"), ("fit", "rm_lora16"), ("test", "baseline")):
        assert main(arguments(work, name, "--trainer.fast_dev_run", "true", command=command)) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert (tmp_path / "export" / "mine.txt").read_text() == "mine"


def test_a_run_outside_the_study_is_not_the_studys(work, finished):
    """The same command in a study makes a run of the study's own, or its report would have no place for it."""
    shutil.copytree(work / "logs", work / "apart")
    assert main(arguments(work, "sft_lora16", "--skip_finished", "true", "--study", "mine", logs="apart")) == 0
    assert (work / "apart" / "mine" / "sft_lora16" / "version_0" / "done.json").is_file()


def test_a_finished_run_is_not_repeated_unless_something_changed(work, finished):
    """Same command: nothing. Another value, or another model to start from: a new version."""
    shutil.copytree(work / "logs", work / "again")
    skip = ["--skip_finished", "true"]
    assert run(work, "sft_lora16", *skip, logs="again") == work / "again" / "sft_lora16" / "version_0"
    assert run(work, "ppo_kl01", *skip, logs="again").name == "version_0"
    known = finished_run(arguments(work, "sft_lora16", logs="again"))
    assert known == work / "again" / "sft_lora16" / "version_0"
    assert finished_run(arguments(work, "sft_lora16", "--seed_everything", "1", logs="again")) is None
    changed = run(work, "sft_lora16", *skip, "--seed_everything", "1", logs="again")
    assert changed.name == "version_1"
    assert run(work, "sft_lora16", *skip, "--seed_everything", "1", logs="again") == changed
    assert run(work, "ppo_kl01", *skip, logs="again").name == "version_1"


def test_an_interrupted_run_starts_over_as_a_new_version(work, finished):
    shutil.copytree(work / "logs", work / "broken")
    (work / "broken" / "sft_lora16" / "version_0" / "done.json").unlink()
    folder = run(work, "sft_lora16", "--skip_finished", "true", logs="broken")
    assert folder.name == "version_1"
    assert (folder / "done.json").is_file()


@pytest.mark.parametrize("name", STAGES.values())
def test_two_ranks_train_one_run(work, finished, name):
    """Both ranks write into one version folder; every test row stands in it once."""
    logs = f"ddp_{name}"
    shutil.copytree(work / "logs", work / logs)
    folder = launch(work, name, *DDP, logs=logs)
    assert [path.name for path in sorted(folder.parent.glob("version_*"))] == ["version_0", "version_1"]
    assert folder.name == "version_1"
    assert done(folder)["steps"] == done(finished[name])["steps"]
    assert done(folder)["tokens"] > done(finished[name])["tokens"]  # twice the rows a step
    assert (last_epoch(finished[name]), last_epoch(folder)) == (0, 1)  # two ranks: half as many batches an epoch
    file = "rm_scores.jsonl" if name.startswith("rm") else "samples.jsonl"
    ids = [row["id"] for row in lines(folder / file)]
    assert sorted(ids) == sorted(row["id"] for row in lines(finished[name] / file))
    assert (folder / "export" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("name", STAGES.values())
def test_bf16_mixed(work, finished, name):
    logs = f"bf16_{name}"
    shutil.copytree(work / "logs", work / logs)
    folder = run(work, name, "--trainer.precision", "bf16-mixed", logs=logs)
    metrics = done(folder)["metrics"]
    assert metrics.keys() == done(finished[name])["metrics"].keys()
    keys = [key for key in metrics if key.endswith("train_loss") or key == "ppo/entropy"]
    assert keys
    for key in keys:
        assert metrics[key] == pytest.approx(done(finished[name])["metrics"][key], rel=0.05)

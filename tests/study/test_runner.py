"""Running a study: each run's command line, what describes it, and a whole small study that repeats nothing."""

import json
from pathlib import Path

import pytest
import yaml

from kochat.errors import UserError
from kochat.study import runner
from kochat.study.plan import PlannedRun, StudyPlan, read_plan
from kochat.study.runner import BaseSources, describe, run_arguments, run_study

CONFIGS = Path(__file__).parents[2] / "configs"


def plan_of(*runs, **changes):
    fields = {"name": "trial", "data_dir": Path("data/x"), "seed": 3, "runs": runs}
    fields |= dict.fromkeys(("baseline", "reward_model", "final_ppo"), runs[0].name)
    return StudyPlan(**(fields | changes))


def after(args, option):
    """Return the values that follow each occurrence of an option."""
    return [args[i + 1] for i, arg in enumerate(args) if arg == option]


def test_a_runs_command_line():
    values = {"model.init_args.kl_coef": 0.5, "model.init_args.policy": "sft", "trainer.gradient_clip_val": None}
    run = PlannedRun(
        name="ppo_a", config=CONFIGS / "ppo_kl01.yaml", overlays=(Path("/a.yaml"), Path("/b.yaml")), set=values
    )
    args = run_arguments(plan_of(run), run, Path("logs"), BaseSources(Path("corpus.jsonl")))
    assert args[0] == "fit"
    assert after(args, "--config") == [str(CONFIGS / "ppo_kl01.yaml"), "/a.yaml", "/b.yaml"]
    for option, value in {
        "name": "ppo_a",
        "study": "trial",
        "logs_dir": "logs",
        "skip_finished": "true",
        "seed_everything": "3",
        "data.init_args.data_dir": "data/x",
        "trainer.precision": "32-true",
        "model.init_args.kl_coef": "0.5",
        "model.init_args.policy": "sft",
        "trainer.gradient_clip_val": "null",
    }.items():
        assert after(args, f"--{option}") == [value], option
    assert "--data.init_args.path" not in args  # the corpus is for pretraining alone


def test_only_pretraining_reads_the_corpus_and_the_tokenizer(tmp_path):
    run = PlannedRun(name="base", config=CONFIGS / "pretrain.yaml")
    args = run_arguments(plan_of(run), run, Path("logs"), BaseSources(Path("corpus.jsonl"), tmp_path))
    assert after(args, "--data.init_args.path") == ["corpus.jsonl"]
    assert after(args, "--model.init_args.tokenizer_source") == [str(tmp_path)]
    args = run_arguments(plan_of(run), run, Path("logs"), BaseSources())
    assert "--data.init_args.path" not in args
    assert "--model.init_args.tokenizer_source" not in args


def test_a_run_is_described_by_its_config_not_its_name(tmp_path):
    folder = tmp_path / "odd_name" / "version_3"
    (folder / "export").mkdir(parents=True)
    (folder / "done.json").write_text(json.dumps({"stage": "ppo"}))
    (folder / "export" / "adapter_config.json").write_text(json.dumps({"r": 8}))
    model = {"class_path": "kochat.stages.ppo.module.PPOModule", "init_args": {"kl_coef": 0.25}}
    config = {"model": model, "data": {"init_args": {"version": "v1"}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    expected = {"name": "odd", "stage": "ppo", "version": "v1", "lora_rank": 8, "kl_coef": 0.25}
    assert describe("odd", folder, tmp_path) == expected | {"path": "odd_name/version_3"}
    (folder / "export" / "adapter_config.json").unlink()
    assert describe("odd", folder, tmp_path)["lora_rank"] == 0  # a whole model
    (folder / "export").rmdir()
    assert describe("odd", folder, tmp_path)["lora_rank"] is None  # nothing was trained
    config["model"]["init_args"]["lora"] = {"rank": 16}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert describe("odd", folder, tmp_path)["lora_rank"] == 16


def write_plan(tmp_path):
    """Write a study of five runs, each of two steps."""
    small = {"limit_train": 8, "limit_validation": 4, "limit_test": 3, "max_prompt_length": 96, "batch_size": 4}
    common = {f"data.init_args.{key}": value for key, value in small.items()}
    common |= {"trainer.max_steps": 2, "trainer.accelerator": "cpu", "trainer.enable_progress_bar": False}
    length, answer = {"data.init_args.max_length": 128}, {"model.init_args.max_new_tokens": 6}
    base = {"model.init_args.base": "pretrain"}
    size = {f"model.init_args.size.{key}": value for key, value in {"layers": 1, "hidden": 32, "heads": 2}.items()}
    sets = {
        "pretrain": size | answer | {"model.init_args.vocab_size": 400, "data.init_args.block_size": 128},
        "baseline": base | answer | length,
        "sft_lora16": base | answer | length,
        "rm_lora16": base | length,
        "ppo_kl01": answer | length | {"model.init_args.ppo_epochs": 1},
    }
    runs = [
        {"name": name, "config": str(CONFIGS / f"{name}.yaml"), "set": common | values}
        | ({"command": "test"} if name == "baseline" else {})
        for name, values in sets.items()
    ]
    plan = {"name": "tiny", "data_dir": str(tmp_path / "data"), "sample_size": "tiny", "runs": runs}
    plan |= {"baseline": "baseline", "reward_model": "rm_lora16", "final_ppo": "ppo_kl01"}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    return path


def test_a_small_study_from_data_to_report_and_nothing_twice(tmp_path, capsys):
    config, logs = write_plan(tmp_path), tmp_path / "logs"
    report = run_study(config, logs)
    assert report == logs / "tiny" / "report.html"
    assert (logs / "tiny" / "report.md").stat().st_size > 1000
    assert "[ 5/5] ppo_kl01" in capsys.readouterr().out
    study = json.loads((logs / "tiny" / "study.json").read_text(encoding="utf-8"))
    stages = ["pretrain", "baseline", "sft", "rm", "ppo"]
    assert [(run["stage"], run["path"]) for run in study["runs"]] == [
        (stage, f"{run.name}/version_0") for stage, run in zip(stages, read_plan(config).runs, strict=True)
    ]
    assert [run["lora_rank"] for run in study["runs"]][2:] == [16, 16, 16]
    assert study["test_set"]["size"] == 3
    assert (logs / "tiny" / study["data"]["summary"]).is_file()
    for name in ("baseline", "sft_lora16", "ppo_kl01"):
        lines = (logs / "tiny" / name / "version_0" / "scored.jsonl").read_text(encoding="utf-8").splitlines()
        assert all({"reward", "verdict"} <= json.loads(line)["scores"].keys() for line in lines)
    before = {path: path.stat().st_mtime_ns for path in logs.rglob("done.json")}
    assert len(before) == 5
    assert run_study(config, logs) == report
    assert {path: path.stat().st_mtime_ns for path in logs.rglob("done.json")} == before
    (logs / "tiny" / "sft_lora16" / "version_0" / "done.json").unlink()  # as if interrupted
    assert run_study(config, logs, only=["sft_lora16"]) == logs / "tiny"
    assert {path.parent.name for path in logs.glob("tiny/sft_lora16/*/done.json")} == {"version_1"}


def test_only_asks_for_known_runs_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"--only: 'lost' is no run of this study; it has pretrain, baseline"):
        run_study(write_plan(tmp_path), tmp_path / "logs", only=["sft_lora16", "lost"])
    assert not (tmp_path / "data").exists()


def test_a_lost_config_is_named_before_anything_is_written(tmp_path):
    path = write_plan(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("rm_lora16.yaml", "rm_lora61.yaml"), encoding="utf-8")
    with pytest.raises(UserError, match=r"tiny\.yaml: runs: there is no config \S+rm_lora61\.yaml"):
        run_study(path, tmp_path / "logs")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("gpus", "devices"), [(0, []), (1, []), (8, ["1"])])
def test_a_study_uses_one_device(monkeypatch, gpus, devices):
    monkeypatch.setattr(runner.torch.cuda, "device_count", lambda: gpus)
    run = PlannedRun(name="sft", config=CONFIGS / "sft_lora16.yaml")
    assert after(run_arguments(plan_of(run), run, Path("logs"), BaseSources()), "--trainer.devices") == devices


def test_a_run_without_a_folder_is_the_users_to_mend(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "run_subcommand", lambda args: None)
    with pytest.raises(UserError, match=r"pretrain\.yaml: trainer\.logger is off"):
        run_study(write_plan(tmp_path), tmp_path / "logs", only=["pretrain"])


def test_a_run_can_take_the_steps_of_another(tmp_path):
    """v1 has more rows than v2: as many epochs would be more steps."""
    run = PlannedRun(name="sft_v1", config=CONFIGS / "sft_lora16.yaml", steps_of="sft")
    plan = plan_of(PlannedRun(name="sft", config=CONFIGS / "sft_lora16.yaml"), run)
    with pytest.raises(UserError, match="needs that one finished; add it"):
        run_arguments(plan, run, tmp_path, BaseSources())
    done = tmp_path / plan.name / "sft" / "version_0" / "done.json"
    done.parent.mkdir(parents=True)
    done.write_text('{"steps": 375}')
    args = run_arguments(plan, run, tmp_path, BaseSources())
    assert after(args, "--trainer.max_steps") == ["375"]
    assert after(args, "--trainer.max_epochs") == ["-1"]

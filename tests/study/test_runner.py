"""Running a study: each run's command line, its seeds, and a whole small study that repeats nothing."""

import json
from pathlib import Path

import pytest

from kochat.config_types import ModelSource
from kochat.errors import UserError
from kochat.lightning_cli import Ended
from kochat.run_parsing import parse_run
from kochat.study import resolved_runs, runner
from kochat.study.dry_run import describe_study
from kochat.study.plan import PlannedRun, StudyPlan
from kochat.study.plan_files import read_plan
from kochat.study.resolved_runs import resolve_runs, run_arguments
from kochat.study.resolved_study import resolve_study
from kochat.study.run_processes import SharedProcess
from kochat.study.runner import StudyOptions, late_arguments, run_study
from tests.study.small_study import CONFIGS, small_run, write_plan

LOGS = Path("logs")
FIVE = ("pretrain", "baseline", "sft_lora16", "rm_lora16", "ppo_kl01")


def plan_of(*runs, **changes):
    fields = {"name": "trial", "data_dir": Path("data/x"), "seed": 3, "runs": runs, "reward_model": runs[0].name}
    return StudyPlan(**(fields | changes))


def five(folder, **changes):
    return write_plan(folder, [small_run(stem) for stem in FIVE], **changes)


def after(args, option):
    """Return the values that follow each occurrence of an option."""
    return [args[i + 1] for i, arg in enumerate(args) if arg == option]


def test_a_runs_command_line():
    values = {"model.init_args.kl_coef": 0.5, "model.init_args.policy": "sft", "trainer.gradient_clip_val": None}
    run = PlannedRun(
        name="ppo_a", config=CONFIGS / "ppo_kl01.yaml", overlays=(Path("/a.yaml"), Path("/b.yaml")), set=values
    )
    args = run_arguments(plan_of(run), run, 3, LOGS)
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


def test_only_what_makes_a_base_reads_the_corpus_and_the_tokenizer(tmp_path):
    plan = plan_of(*(PlannedRun(name=stem, config=CONFIGS / f"{stem}.yaml") for stem in ("pretrain", "sft_lora16")))
    base, sft = resolve_runs(plan, LOGS)
    options = StudyOptions(Path("x.yaml"), corpus=Path("corpus.jsonl"), tokenizer=tmp_path)
    args = late_arguments(plan, base, options)
    assert after(args, "--data.init_args.path") == ["corpus.jsonl"]
    assert after(args, "--model.init_args.tokenizer_source") == [str(tmp_path)]
    assert late_arguments(plan, base, StudyOptions(Path("x.yaml"))) == []
    assert late_arguments(plan, sft, options) == []
    own = PlannedRun(name="own", config=CONFIGS / "pretrain.yaml", set={"data.init_args.path": "/a.jsonl"})
    [run] = resolve_runs(plan_of(own), LOGS)
    assert after(late_arguments(plan, run, options), "--data.init_args.path") == []  # two bases may read two corpora


def test_a_parsed_run_has_all_defaults_and_its_model_inputs():
    parsed = parse_run(["fit", "--config", str(CONFIGS / "ppo_kl01.yaml"), "--model.init_args.kl_coef", "0.25"])
    model = parsed.config["model"]["init_args"]
    assert (parsed.stage.name, parsed.module_class.__name__) == ("ppo", "PPOModule")
    assert model["kl_coef"] == 0.25
    assert isinstance(model["policy"], ModelSource)
    assert parsed.config["data"]["init_args"]["version"] == "v2"
    assert "__path__" not in parsed.config["data"]


def test_what_is_wrong_in_any_runs_config_is_said_before_anything_is_written(tmp_path):
    runs = [small_run(stem) for stem in FIVE]
    runs[2]["set"]["model.init_args.learning_rat"] = 1
    runs[4]["set"]["model.init_args.kl_coef"] = "much"
    with pytest.raises(UserError, match=r"run sft_lora16: .*learning_rat.*; run ppo_kl01: .*kl_coef"):
        run_study(StudyOptions(write_plan(tmp_path, runs), tmp_path / "logs"))
    assert not (tmp_path / "data").exists()


def test_runs_that_nothing_tells_apart_are_an_error_before_anything_is_written(tmp_path):
    runs = [*(small_run(stem) for stem in FIVE), small_run("sft_lora16", "again")]
    with pytest.raises(UserError, match="sft_lora16 and again differ in nothing but their names"):
        run_study(StudyOptions(write_plan(tmp_path, runs), tmp_path / "logs"))
    assert not (tmp_path / "data").exists()


def test_seeds_multiply_what_they_should(tmp_path):
    runs = [small_run(stem) for stem in FIVE]
    runs[3]["per_seed"] = False
    runs.append(small_run("sft_lora16", "sft_v1", steps_of="sft_lora16"))
    runs[-1]["set"] = runs[-1]["set"] | {"data.init_args.version": "v1"}
    study = resolve_study(read_plan(write_plan(tmp_path, runs, seeds=[4, 7])), LOGS)
    assert [run.name for run in study.runs] == [
        "pretrain", "baseline", "sft_lora16_seed4", "sft_lora16_seed7", "rm_lora16", "ppo_kl01_seed4", "ppo_kl01_seed7",
        "sft_v1_seed4", "sft_v1_seed7",
    ]  # fmt: skip
    named = {run.name: run for run in study.runs}
    assert {name: run.leaves["seed_everything"] for name, run in named.items()} == {
        name: 7 if name.endswith("seed7") else 4 for name in named
    }
    assert named["ppo_kl01_seed7"].model_sources["model.init_args.policy"] == "sft_lora16_seed7"
    assert named["ppo_kl01_seed7"].model_sources["model.init_args.reward_model"] == "rm_lora16"
    assert named["sft_lora16_seed7"].model_sources == {"model.init_args.base": "pretrain"}
    assert named["sft_v1_seed7"].planned.steps_of == "sft_lora16_seed7"
    assert named["sft_lora16_seed7"].leaves["data.init_args.seed"] == 7  # another shuffle too
    assert study.factors.varying["ppo"] == ["seed"]
    assert study.scorer.name == "rm_lora16"


def test_best_of_n_is_repeated_for_the_sft_model_of_each_seed(tmp_path):
    runs = [small_run(stem) for stem in (*FIVE, "best_of_n")]
    study = resolve_study(read_plan(write_plan(tmp_path, runs, seeds=[4, 7])), LOGS)
    sources = {run.name: run.model_sources for run in study.runs if run.stage.name == "best_of_n"}
    assert sources == {
        f"best_of_n_seed{seed}": {
            "model.init_args.policy": f"sft_lora16_seed{seed}",
            "model.init_args.reward_model": f"rm_lora16_seed{seed}",
        }
        for seed in (4, 7)
    }
    assert {study.factors.values[name]["rank"] for name in sources} == {16}


def test_a_run_named_like_a_seeds_copy_of_another_is_refused(tmp_path):
    runs = [small_run(stem) for stem in FIVE]
    runs.append(small_run("sft_lora16", "sft_lora16_seed4", per_seed=False))
    with pytest.raises(UserError, match=r"'sft_lora16_seed4' is also what a seed's copy of another run is called"):
        resolve_study(read_plan(write_plan(tmp_path, runs, seeds=[4, 7])), LOGS)


def test_a_chain_of_answers_has_no_reward_model(tmp_path):
    plan = write_plan(tmp_path, [small_run(stem) for stem in FIVE], contrasts=[{"chain": ["baseline", "rm_lora16"]}])
    with pytest.raises(UserError, match=r"chain: the answers of 'rm_lora16' are not compared"):
        resolve_study(read_plan(plan), LOGS)


@pytest.mark.parametrize("path", sorted((CONFIGS / "study").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_of_ours_resolves(path):
    study = resolve_study(read_plan(path), LOGS)
    assert study.contrasts
    if path.stem == "ppo_sweep":  # PPO alone, by its settings
        return
    seeds = [f"_seed{seed}" for seed in study.plan.seeds] or [""]
    chains = [entry.chain for entry in study.contrasts if entry.chain]
    assert chains[: len(seeds)] == [["baseline", f"sft_lora16{seed}", f"ppo_kl01{seed}"] for seed in seeds]
    (by_kl,) = (entry.groups for entry in study.contrasts if entry.vary == "kl_coef")
    assert [group[-2:] for group in by_kl] == [[f"ppo_kl01{seed}", f"ppo_kl05{seed}"] for seed in seeds]


def test_one_seed_leaves_names_as_they_are(tmp_path):
    study = resolve_study(read_plan(five(tmp_path, seeds=[5])), LOGS)
    assert [run.name for run in study.runs] == list(FIVE)
    assert {run.leaves["seed_everything"] for run in study.runs} == {5}
    assert study.runs[2].leaves["data.init_args.seed"] == 5  # as with [5, 6]: a further seed changes no run


@pytest.mark.parametrize(("name", "command", "needed"), [("baseline", "fit", "test"), ("sft_lora16", "test", "fit")])
def test_a_command_that_makes_no_finished_run_is_refused(tmp_path, name, command, needed):
    runs = [small_run(stem) for stem in FIVE]
    next(run for run in runs if run["name"] == name)["command"] = command
    with pytest.raises(UserError, match=rf"run {name}: command: {command}: a run of the stage \w+ needs {needed}"):
        resolve_study(read_plan(write_plan(tmp_path, runs)), LOGS)


def test_help_in_a_runs_arguments_is_an_error(capsys):
    for asked in (["--help"], ["--print_config"]):
        with pytest.raises(UserError, match="help and print_config run nothing"):
            parse_run(["fit", "--config", str(CONFIGS / "sft_lora16.yaml"), *asked])


def test_what_scores_must_be_a_reward_model(tmp_path):
    with pytest.raises(UserError, match="reward_model: sft_lora16 is a run of the stage sft, which scores nothing"):
        resolve_study(read_plan(five(tmp_path, reward_model="sft_lora16")), LOGS)


@pytest.mark.slow
def test_a_small_study_from_data_to_report_and_nothing_twice(tmp_path, capsys):
    config, logs = five(tmp_path), tmp_path / "logs"
    report = run_study(StudyOptions(config, logs))
    assert report == logs / "tiny" / "report.html"
    assert (logs / "tiny" / "report.md").stat().st_size > 1000
    assert "[ 5/5] ppo_kl01" in capsys.readouterr().out
    study = json.loads((logs / "tiny" / "study.json").read_text(encoding="utf-8"))
    stages = ["pretrain", "baseline", "sft", "rm", "ppo"]
    assert [(run["stage"], run["path"]) for run in study["runs"]] == [
        (stage, f"{run.name}/version_0") for stage, run in zip(stages, read_plan(config).runs, strict=True)
    ]
    assert [run["factors"]["rank"] for run in study["runs"]] == [None, None, 16, 16, 16]
    assert [run["factors"]["kl_coef"] for run in study["runs"]][3:] == [None, 0.1]
    assert study["runs"][4]["sources"] == {
        "model.init_args.policy": "sft_lora16",
        "model.init_args.reward_model": "rm_lora16",
    }
    assert [contrast["chain"] for contrast in study["contrasts"]] == [["baseline", "sft_lora16", "ppo_kl01"]]
    assert study["test_set"]["size"] == 3
    assert (logs / "tiny" / study["data"]["summary"]).is_file()
    for name in ("baseline", "sft_lora16", "ppo_kl01"):
        lines = (logs / "tiny" / name / "version_0" / "scored.jsonl").read_text(encoding="utf-8").splitlines()
        assert all({"reward", "verdict"} <= json.loads(line)["scores"].keys() for line in lines)
    before = {path: path.stat().st_mtime_ns for path in logs.rglob("done.json")}
    assert len(before) == 5
    table = describe_study(StudyOptions(config, logs)).splitlines()
    assert [line.split()[2] for line in table[1:6]] == ["finished"] * 5
    assert table[6] == "5 of 5 runs are finished"
    assert run_study(StudyOptions(config, logs)) == report
    assert "[ 5/5] ppo_kl01: finished earlier, skipped" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in logs.rglob("done.json")} == before
    (logs / "tiny" / "sft_lora16" / "version_0" / "done.json").unlink()  # as if interrupted
    table = describe_study(StudyOptions(config, logs)).splitlines()
    assert [line.split()[0] for line in table[1:6] if "to run" in line] == ["sft_lora16", "ppo_kl01"]
    assert run_study(StudyOptions(config, logs, only=["sft_lora16"])) == logs / "tiny"
    assert {path.parent.name for path in logs.glob("tiny/sft_lora16/*/done.json")} == {"version_1"}


def test_only_asks_for_known_runs_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"--only: 'lost' is no run of this study; it has pretrain, baseline"):
        run_study(StudyOptions(five(tmp_path), tmp_path / "logs", only=["sft_lora16", "lost"]))
    assert not (tmp_path / "data").exists()


def test_a_lost_config_is_named_before_anything_is_written(tmp_path):
    path = five(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("rm_lora16.yaml", "rm_lora61.yaml"), encoding="utf-8")
    with pytest.raises(UserError, match=r"tiny\.yaml: runs: there is no config \S+rm_lora61\.yaml"):
        run_study(StudyOptions(path, tmp_path / "logs"))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("gpus", "devices"), [(0, []), (1, []), (8, ["1"])])
def test_a_study_uses_one_device(monkeypatch, gpus, devices):
    monkeypatch.setattr(resolved_runs.torch.cuda, "device_count", lambda: gpus)
    run = PlannedRun(name="sft", config=CONFIGS / "sft_lora16.yaml")
    assert after(run_arguments(plan_of(run), run, 0, LOGS), "--trainer.devices") == devices


def test_a_run_without_a_folder_is_the_users_to_mend(tmp_path, monkeypatch):
    class Silent(SharedProcess):
        def start(self, run):
            self._ended.append((run.name, Ended(None)))

    monkeypatch.setattr(runner, "run_pool", Silent)
    with pytest.raises(UserError, match=r"pretrain\.yaml: trainer\.logger is off"):
        run_study(StudyOptions(five(tmp_path), tmp_path / "logs", only=["pretrain"]))


def test_a_run_can_take_the_steps_of_another(tmp_path):
    """v1 has more rows than v2: as many epochs would be more steps."""
    data = {"data.init_args.version": "v1"}
    run = PlannedRun(name="sft_v1", config=CONFIGS / "sft_lora16.yaml", steps_of="sft", set=data)
    plan = plan_of(PlannedRun(name="sft", config=CONFIGS / "sft_lora16.yaml"), run)
    resolved, options = resolve_runs(plan, tmp_path)[1], StudyOptions(Path("x.yaml"), tmp_path)
    with pytest.raises(UserError, match="needs that one finished; add it"):
        late_arguments(plan, resolved, options)
    done = tmp_path / plan.name / "sft" / "version_0" / "done.json"
    done.parent.mkdir(parents=True)
    done.write_text('{"steps": 375}')
    args = late_arguments(plan, resolved, options)
    assert after(args, "--trainer.max_steps") == ["375"]
    assert after(args, "--trainer.max_epochs") == ["-1"]

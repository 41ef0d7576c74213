"""The command line: quick help, one line and status 2 for wrong input, pieces and overlays that compose."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from kochat.cli import COMMANDS, LIGHTNING, main

ROOT = Path(__file__).parents[1]
SFT, PPO, BASE = "configs/sft_lora16.yaml", "configs/ppo_kl01.yaml", "configs/pretrain.yaml"


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def said(capsys, *args):
    """Run a command; return (exit status, stdout, lines of stderr)."""
    capsys.readouterr()
    try:
        status = main([str(arg) for arg in args])
    except SystemExit as error:  # argparse's --help and --print_config
        status = error.code or 0
    out, err = capsys.readouterr()
    return status, out, err.splitlines()


def refused(capsys, *args):
    """Run a command that must fail with one line; return its message."""
    status, out, lines = said(capsys, *args)
    lines = [line for line in lines if not line.startswith("Seed set to")]  # Lightning's
    assert status == 2, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("kochat: error: ")
    assert "usage:" not in out + lines[0]
    return lines[0].removeprefix("kochat: error: ")


# Help


def test_help_imports_nothing_heavy_and_is_quick():
    code = "import sys; from kochat.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print(sorted({'torch', 'lightning', 'transformers', 'numpy', 'pydantic'} & set(sys.modules)))"
    started = time.process_time(), time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.perf_counter() - started[1] < 5  # about 0.1 s on an idle machine
    assert result.stdout.splitlines()[-1] == "[]"
    for command in (*LIGHTNING, *COMMANDS):
        assert re.search(rf"^\s+{command}\s+\w", result.stdout, re.MULTILINE), command


def test_the_module_runs():
    result = subprocess.run([sys.executable, "-m", "kochat", "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"kochat \d+\.\d+\.\d+\S*\n", result.stdout)
    result = subprocess.run([sys.executable, "-m", "kochat", "bogus"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("kochat: error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [*LIGHTNING, *COMMANDS])
def test_every_command_has_help(capsys, command):
    status, out, _ = said(capsys, command, "--help")
    assert status == 0
    assert out.startswith("usage: python -m kochat")
    assert "--config" in out or command in ("report", "chat", "export")


def test_no_command_prints_the_help(capsys):
    status, out, _ = said(capsys)
    assert status == 0
    assert out.startswith("usage: python -m kochat")


# Wrong arguments


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["bogus"], r"invalid choice: 'bogus'.*\(see: python -m kochat --help\)"),
        (["--bogus"], r"unrecognized arguments: --bogus"),
        (["fit", "--bogus", "1"], r"--bogus.*\(see: python -m kochat fit --help\)"),
        (["clean", "--bogus", "--out", "x"], r"unrecognized arguments: --bogus"),
        (["study"], r"required: --config \(see: python -m kochat study --help\)"),
        (["fit"], r"required: fit\.data, fit\.model \(see: python -m kochat fit --help\)"),
        (["fit", "--config", "configs/lost.yaml"], r"config: File does not exist: '.*configs/lost\.yaml'"),
        (
            ["fit", "--config", SFT, "--model.rank", "1"],
            r"SFTModule: Option 'rank' is not accepted .*--model\.help SFTMod",
        ),
        (["fit", "--config", SFT, "--trainer.max_epochs", "x"], r"^trainer\.max_epochs: Expected a int"),
        (["fit", "--config", SFT, "--model.lora.rank", "x"], r"SFTModule: lora\.rank: Expected a int\. Got value: x"),
        (["fit", "--config", SFT, "--model.lora.rank", "-1"], r"^model\.lora\.rank=-1 is negative; 0 trains all"),
        (
            ["fit", "--config", SFT, "--model.lora.dropout", "2"],
            r"^model\.lora\.dropout=2\.0 is no share; give 0 to 1$",
        ),
        (["fit", "--config", SFT, "--data.num_workers", "-1"], r"^data\.num_workers=-1 is too small; give 0 or more$"),
        (["fit", "--config", SFT, "--data.limit_test", "0"], r"^data\.limit_test=0 leaves nothing; give 1 or more"),
        (["fit", "--config", BASE, "--model.size.heads", "5"], r"^model\.size\.heads=5 does not divide .*=192"),
        (["fit", "--config", BASE, "--model.size.layers", "0"], r"^model\.size\.layers=0 is too small"),
        (["fit", "--config", SFT, "--data.batch_size", "0"], r"^data\.batch_size=0 is too small; give 1 or more$"),
        (["fit", "--config", PPO, "--model.temperature", "0"], r"^model\.temperature=0\.0 draws nothing"),
        (["study", "--config", "lost.yaml"], r"^lost\.yaml: cannot be read .*such as configs/study/quickstart\.yaml"),
        (["report", "configs"], r"^configs: no study here \(study\.json is missing\)"),
        (["clean", "--out", "x"], r"name the raw data's folder, or give --sample"),
        (["clean", "lost", "--out", "x"], r"^lost: no such file"),
        (
            ["chat", "lost"],
            r"^model: no finished run 'lost' under lightning_logs/lost; make it with: python -m kochat fit",
        ),
        (["chat", "lost", "--study", "trial"], r"^model: no finished run 'lost' under lightning_logs/trial/lost"),
        (["chat", "./lost"], r"^model: no directory './lost'; give an existing directory"),
        (["chat", "lost", "--temperature", "-1"], r"^--temperature=-1\.0 is negative"),
        (["chat", "lost", "--max_new_tokens", "0"], r"^--max_new_tokens=0 leaves no room"),
        (["export", "lost", "--out", "configs"], r"^configs: is not an empty folder; give a new one with --out$"),
        (["export", "lost", "--out", "README.md"], r"^README\.md: is not an empty folder"),
        (["export", "lost", "--out", "new"], r"^model: no finished run 'lost'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments(capsys, args, message):
    assert re.search(message, refused(capsys, *args))


# Wrong configs


def changed(tmp_path, name, *replacements):
    """Copy a config with its pieces, with something in it replaced; return the copy's path."""
    for source in ("trainer/language_model.yaml", "data/sft.yaml", name):
        target = tmp_path / source
        target.parent.mkdir(exist_ok=True)
        text = (ROOT / "configs" / source).read_text(encoding="utf-8")
        for old, new in replacements:
            text = text.replace(old, new)
        target.write_text(text, encoding="utf-8")
    return tmp_path / name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "learning_rate:",
            "learning_rat:",
            r"sft_lora16\.yaml: model: SFTModule: Option 'learning_rat' is not accepted",
        ),
        ("rank: 16", "rnk: 16", r"sft_lora16\.yaml: model: SFTModule: Group 'lora' does not accept option 'rnk'"),
        ("rank: 16", "rank: many", r"sft_lora16\.yaml: model: SFTModule: lora\.rank: Expected a int\. Got value: many"),
        ("SFTModule", "SFTModul", r"sft_lora16\.yaml: model: there is no class 'SFTModul'"),
        ("model:", "modell:", r"sft_lora16\.yaml: modell\.\S+: there is no such setting"),
        ("max_epochs:", "max_epoch:", r"trainer/language_model\.yaml: trainer\.max_epoch: there is no such setting"),
        ("NaNGuard", "NaNGard", r"trainer/language_model\.yaml: trainer\.callbacks: there is no class 'NaNGard'"),
        ("data/sft.yaml", "data/lost.yaml", r"sft_lora16\.yaml: data: .*data/lost\.yaml"),
        ("model: {", "model: {{", r"sft_lora16\.yaml: not YAML: .*line \d+"),
    ],
)
def test_a_wrong_config_is_named_with_its_field(capsys, tmp_path, old, new, message):
    path = changed(tmp_path, "sft_lora16.yaml", (old, new))
    assert re.search(
        message + r".* \(see: python -m kochat fit --\S*help.*\)$", refused(capsys, "fit", "--config", path)
    )


@pytest.mark.parametrize("name", ["top_k", "top_p", "repetition_penalty"])
def test_a_truncated_draw_is_refused_with_the_reason(capsys, name):
    """PPO's ratio would compare other distributions than the one that was drawn from."""
    line = refused(capsys, "fit", "--config", PPO, f"--model.init_args.{name}", "5")
    assert f"Option '{name}' is not accepted: kochat samples from the whole distribution" in line


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "holds no settings"), (b"just text", "holds no settings"), (b"\xff\xfe\x00", "not UTF-8 text")],
)
def test_a_config_that_is_none(capsys, tmp_path, content, message):
    (tmp_path / "odd.yaml").write_bytes(content)
    assert f"odd.yaml: {message}" in refused(capsys, "fit", "--config", tmp_path / "odd.yaml")


def test_wrong_study_files(capsys, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("name: trial\nruns: [\n", encoding="utf-8")
    assert re.match(rf"{path}: not YAML", refused(capsys, "study", "--config", path))
    runs = [{"name": "sft", "config": "sft.yaml"}]
    plan = {
        "name": "trial",
        "data_dir": "x",
        "reward_model": "sft",
        "runs": runs,
    }
    path.write_text(yaml.safe_dump(plan | {"final_ppo": "ppo"}), encoding="utf-8")
    assert "final_ppo: is no key of a study any more" in refused(capsys, "study", "--config", path)
    path.write_text(yaml.safe_dump(plan | {"reward_model": "ppo"}), encoding="utf-8")
    assert "reward_model: 'ppo' is none of the runs ['sft']" in refused(capsys, "study", "--config", path)
    path.write_text(yaml.safe_dump(plan | {"bogus": 1}), encoding="utf-8")
    assert re.match(rf"{path}: bogus: ", refused(capsys, "study", "--config", path))
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    message = refused(capsys, "study", "--config", path, "--only", "sft", "lost")
    assert message == "--only: 'lost' is no run of this study; it has sft"


# Missing inputs


def test_missing_inputs_are_listed_together_with_their_commands(capsys, tmp_path):
    place = ["--logs_dir", tmp_path / "logs", "--data.data_dir", tmp_path / "data"]
    parts = refused(capsys, "fit", "--config", PPO, *place).split("; ")
    clean = f"make it with: python -m kochat clean {tmp_path}/data/v1 --out {tmp_path}/data/v2"
    assert parts == [
        f"model.policy: no finished run 'sft_lora16' under {tmp_path}/logs/sft_lora16",
        "make it with: python -m kochat fit --config configs/sft_lora16.yaml",
        f"model.reward_model: no finished run 'rm_lora16' under {tmp_path}/logs/rm_lora16",
        "make it with: python -m kochat fit --config configs/rm_lora16.yaml",
        f"{tmp_path}/data/v2/kochatgpt_3_PPO.jsonl: no such file",
        clean,
        f"{tmp_path}/data/v2/test.jsonl: no such file",
        clean,
    ]
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("old", ["kochat.modules.sft.SFTModule", "kochat.stages.sft.SFTModule"])
def test_a_class_path_of_an_earlier_version_names_todays(capsys, tmp_path, old):
    config = tmp_path / "old.yaml"
    config.write_text(f"model: {{class_path: {old}}}\n")
    for given in (["--config", SFT, "--model", old], ["--config", config]):
        message = refused(capsys, "fit", *given, "--logs_dir", tmp_path)
        assert "classes of kochat need no module: write SFTModule" in message


def test_test_needs_a_finished_run(capsys, tmp_path):
    message = refused(capsys, "test", "--config", SFT, "--logs_dir", tmp_path)
    assert message.startswith(
        f"no finished run 'sft_lora16' under {tmp_path}/sft_lora16; make it with: python -m kochat fit"
    )
    message = refused(capsys, "test", "--config", SFT, "--logs_dir", tmp_path, "--ckpt_path", "last.ckpt")
    assert "ckpt_path: test evaluates the export of the finished run; leave ckpt_path out" in message


@pytest.mark.slow
def test_a_v2_that_is_not_what_clean_wrote(capsys, tmp_path, base):
    """A row edited by hand is found by its manifest, before anything is trained."""
    from kochat.cleaning.cleaner import clean
    from kochat.world.generator import write_sample

    write_sample(tmp_path / "v1", 0, "tiny")
    clean(tmp_path / "v1", tmp_path / "v2")
    file = tmp_path / "v2" / "kochatgpt_1_SFT.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace("다", "다.", 1), encoding="utf-8")
    args = ["--logs_dir", tmp_path / "logs", "--data.data_dir", tmp_path, "--model.base", base]
    message = refused(capsys, "fit", "--config", SFT, *args, "--trainer.accelerator", "cpu")
    assert message.startswith(
        f"{file}: is not the file that clean wrote (its SHA-256 differs); make it with: python -m"
    )


def test_a_run_that_failed_is_one_line_and_status_1(capsys, monkeypatch):
    from kochat import lightning_cli
    from kochat.engine.nan_guard import NonFiniteError

    def fail(args):
        raise NonFiniteError("the loss of training batch 3 is NaN")

    monkeypatch.setattr(lightning_cli, "run_subcommand", fail)
    assert said(capsys, "fit") == (1, "", ["kochat: error: the loss of training batch 3 is NaN"])


# Composition


def printed(capsys, *args):
    """Return what --print_config says; no input is at hand, and none is asked for."""
    status, out, lines = said(capsys, "fit", *args, "--print_config")
    assert (status, lines) == (0, [])
    return yaml.safe_load(out)


def test_pieces_become_one_config(capsys):
    config = printed(capsys, "--config", PPO)
    assert config["model"]["class_path"] == "kochat.stages.ppo.module.PPOModule"
    assert config["model"]["init_args"]["kl_coef"] == 0.1
    assert config["model"]["init_args"]["policy"] == "sft_lora16"
    assert config["data"]["class_path"] == "kochat.stages.ppo.data.PromptDataModule"
    assert config["trainer"]["callbacks"][0]["class_path"] == "kochat.engine.answer_evaluation.AnswerEvaluation"


def test_a_second_config_lies_over_the_first_and_a_value_over_both(capsys, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("model: {init_args: {kl_coef: 0.3, gamma: 0.9}}\ndata: {init_args: {version: v1}}\n")
    model = printed(capsys, "--config", PPO, "--config", overlay)["model"]["init_args"]
    assert (model["kl_coef"], model["gamma"], model["policy"]) == (0.3, 0.9, "sft_lora16")
    config = printed(capsys, "--config", PPO, "--config", overlay, "--model.kl_coef", "0.2")
    assert config["model"]["init_args"]["kl_coef"] == 0.2
    assert config["model"]["init_args"]["gamma"] == 0.9
    assert config["data"]["init_args"]["version"] == "v1"
    assert (
        config["data"]["init_args"]["batch_size"] == printed(capsys, "--config", PPO)["data"]["init_args"]["batch_size"]
    )


def test_a_path_in_a_yaml_is_relative_to_it_and_one_on_the_command_line_to_here(capsys, tmp_path):
    overlay = tmp_path / "deep" / "overlay.yaml"
    overlay.parent.mkdir()
    overlay.write_text("data: {init_args: {data_dir: ../mine}}\nmodel: {init_args: {base: ./models/small}}\n")
    config = printed(capsys, "--config", SFT, "--config", overlay)
    assert config["data"]["init_args"]["data_dir"] == str(tmp_path / "mine")
    assert config["model"]["init_args"]["base"] == str(tmp_path / "deep" / "models" / "small")
    args = ["--data.data_dir", "data/mine", "--model.base", "skt/kogpt2-base-v2"]
    config = printed(capsys, "--config", SFT, "--config", overlay, *args)
    assert config["data"]["init_args"]["data_dir"] == str(ROOT / "data" / "mine")
    assert config["model"]["init_args"]["base"] == "skt/kogpt2-base-v2"


@pytest.mark.slow
def test_clean_writes_what_it_says(capsys, tmp_path):
    status, out, _ = said(capsys, "clean", tmp_path / "v1", "--sample", "--out", tmp_path / "v2")
    assert status == 0
    assert out.splitlines()[-1] == f"kochat: {tmp_path / 'v2'}"
    manifest = json.loads((tmp_path / "v2" / "manifest.json").read_text(encoding="utf-8"))
    assert {"kochatgpt_1_SFT.jsonl", "test.jsonl"} <= manifest["outputs"].keys()

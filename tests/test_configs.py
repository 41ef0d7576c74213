"""Every YAML under configs/ parses, makes its classes without data or weights, and says its command and its table."""

import re
from pathlib import Path

import pytest
import yaml
from lightning.pytorch.callbacks import ProgressBar

from kochat.lightning_cli import KochatCLI
from kochat.runs import EMBEDDED_BASE
from kochat.study.plan_files import read_plan
from kochat.study.resolved_runs import run_arguments

CONFIGS = Path(__file__).parents[1] / "configs"
RUNS = sorted(CONFIGS.glob("*.yaml"))
OVERLAYS = sorted(CONFIGS.glob("overlays/*.yaml"))
STUDIES = sorted(CONFIGS.glob("study/*.yaml"))
STUDY_OVERLAYS = sorted(CONFIGS.glob("study/*/*.yaml"))
ALL = sorted(CONFIGS.rglob("*.yaml"))
COMMAND = re.compile(r"# (Part of: |Overlay of configs/study/[\w-]+\.yaml|--config |python -m kochat \w+ )")


class Instantiated(Exception):
    """Raised when all classes are made, before any input is looked for."""


class ParseOnly(KochatCLI):
    """Stop after model, data and trainer are made."""

    def _check_inputs(self) -> None:
        pass

    def _run_subcommand(self, subcommand):
        raise Instantiated

    def _loggers(self):
        return []


def instantiate(*args, **options):
    """Make a run's classes from a command line; return its config."""
    cli = ParseOnly.__new__(ParseOnly)
    with pytest.raises(Instantiated):
        ParseOnly.__init__(
            cli, [*map(str, args), "--trainer.accelerator", "cpu", "--trainer.precision", "32-true"], **options
        )
    return cli


def subcommand(path):
    return "test" if path.stem in ("baseline", "best_of_n") else "fit"


def name(path):
    return str(path.relative_to(CONFIGS))


@pytest.mark.parametrize("path", ALL, ids=name)
def test_the_first_line_is_its_command_and_the_second_its_table(path):
    first, second = path.read_text(encoding="utf-8").splitlines()[:2]
    assert COMMAND.match(first), first
    assert second.startswith("# Report: "), second
    for given in re.findall(r"configs/[\w/]+\.yaml", first):
        assert (CONFIGS.parent / given).is_file(), given
    if path.parent == CONFIGS:
        assert first == f"# python -m kochat {subcommand(path)} --config configs/{path.name}"
    if path in OVERLAYS:
        assert first.startswith(f"# --config configs/overlays/{path.name} after ")
    if path in STUDIES:
        assert first.startswith(f"# python -m kochat study --config configs/study/{path.name}")


@pytest.mark.parametrize("path", RUNS, ids=name)
def test_every_run_instantiates(path):
    cli = instantiate(subcommand(path), "--config", path)
    assert cli.name == path.stem
    assert (
        cli.model.stage.name
        == {"pp": "ppo", "rm": "rm", "sf": "sft", "pr": "pretrain", "ba": "baseline", "be": "best_of_n"}[path.stem[:2]]
    )
    stem = re.fullmatch(r"(?:sft|rm)_lora(\d+)|ppo_kl(\d)(\d)|\w+", path.stem)
    if stem.group(1):
        assert cli.model.options.lora.rank == int(stem.group(1))
    if stem.group(2):
        assert cli.model.options.kl_coef == float(f"{stem.group(2)}.{stem.group(3)}")


@pytest.mark.slow
@pytest.mark.parametrize("overlay", OVERLAYS, ids=name)
@pytest.mark.parametrize("path", RUNS, ids=name)
def test_every_overlay_fits(path, overlay):
    """An overlay goes on every run that has its keys: one of `base` on those that start from a base."""
    if overlay.stem == "small_base" and path.stem.startswith(("ppo", "pretrain", "best_of_n")):
        pytest.skip("starts from no base")
    extra = ["--trainer.precision", "bf16-mixed"] if overlay.stem == "bf16" else []
    cli = instantiate(subcommand(path), "--config", path, "--config", overlay, *extra)
    assert cli.name == path.stem
    given = yaml.safe_load(overlay.read_text(encoding="utf-8"))
    for key, value in given.get("model", {}).get("init_args", {}).items():
        assert getattr(cli.model.options, key) == value
    if "version" in given.get("data", {}).get("init_args", {}):
        assert cli.datamodule.options.version == given["data"]["init_args"]["version"]


def planned_runs():
    return [(path, run.name) for path in STUDIES for run in read_plan(path).runs]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "run_name"), planned_runs(), ids=lambda value: getattr(value, "stem", value))
def test_every_run_of_a_study_instantiates(path, run_name, tmp_path):
    plan = read_plan(path)
    run = next(run for run in plan.runs if run.name == run_name)
    cli = instantiate(*run_arguments(plan, run, plan.seed, tmp_path))
    assert cli.name == run_name
    assert cli.config[cli.subcommand].study == plan.name
    for key, value in run.set.items():
        field = key.removeprefix("model.init_args.")
        assert field == key or getattr(cli.model.options, field) == value


@pytest.mark.slow
@pytest.mark.parametrize("path", STUDIES, ids=name)
def test_a_study_gives_each_run_what_it_starts_from(path):
    """Model inputs that are runs of the study stand before the run that reads them."""
    plan = read_plan(path)
    names = [run.name for run in plan.runs]
    for position, run in enumerate(plan.runs):
        cli = instantiate(*run_arguments(plan, run, plan.seed, Path("lightning_logs")))
        for value in cli.model.sources().values():
            given = "/" in value or value == EMBEDDED_BASE
            assert given or value in names[:position], f"{run.name} starts from {value}"


def test_every_study_overlay_is_used():
    used = {overlay for path in STUDIES for run in read_plan(path).runs for overlay in run.overlays}
    assert {path.resolve() for path in STUDY_OVERLAYS} <= used


OWN_BAR = "--trainer.callbacks+=TQDMProgressBar"


@pytest.mark.parametrize(
    ("args", "options", "bars"),
    [
        ([], {}, ["RunProgressBar"]),
        (["--trainer.enable_progress_bar", "false"], {}, []),
        ([], {"progress_bar": False}, []),  # where several runs of a study share the terminal
        ([OWN_BAR], {}, ["TQDMProgressBar"]),
        ([OWN_BAR], {"progress_bar": False}, ["TQDMProgressBar"]),
    ],
)
def test_a_run_has_one_progress_bar_unless_it_is_off(args, options, bars):
    made = instantiate("fit", "--config", CONFIGS / "sft_lora16.yaml", *args, **options).trainer.callbacks
    assert [type(callback).__name__ for callback in made if isinstance(callback, ProgressBar)] == bars

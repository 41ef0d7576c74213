"""`study --dry-run` shows the runs of a study, and runs and writes nothing."""

import json
import os

import pytest

from kochat.cli import main
from kochat.study.earlier_runs import basis_of, find_earlier_runs
from tests.study.small_study import small_run, write_plan

FIVE = ("pretrain", "baseline", "sft_lora16", "rm_lora16", "ppo_kl01")


def write_done(logs, path, stage, age=0, **content):
    """Write a finished run that is ``age`` seconds old."""
    file = logs / path / "done.json"
    file.parent.mkdir(parents=True)
    told = {"stage": stage, "seconds": 90.0, "parameters": {"total": 5000, "trainable": 1234}}
    file.write_text(json.dumps(told | content), encoding="utf-8")
    os.utime(file, (1e9 - age, 1e9 - age))


def test_the_table_and_nothing_is_written(tmp_path, capsys):
    config, logs = write_plan(tmp_path, [small_run(stem) for stem in FIVE]), tmp_path / "logs"
    write_done(logs, "tiny/sft_lora16/version_2", "sft", peak_memory_mib={"process": 2048.4, "cuda": 512.0})
    write_done(logs, "other/rm_a/version_0", "rm", seconds=30.0)
    before = sorted(tmp_path.rglob("*"))
    assert main(["study", "--config", str(config), "--logs_dir", str(logs), "--dry-run"]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    header, *rows, last = capsys.readouterr().out.splitlines()
    assert header.split() == [
        "run",
        "stage",
        "state",
        "needs",
        "trained",
        "parameters",
        "minutes",
        "memory",
        "MiB",
        "basis",
    ]
    assert [row.split() for row in rows] == [
        ["pretrain", "pretrain", "to", "run", "-", "-", "-", "-", "-"],
        ["baseline", "baseline", "to", "run", "pretrain", "-", "-", "-", "-"],
        ["sft_lora16", "sft", "to", "run", "pretrain", "1,234", "1.5", "2,048", "+", "512", "GPU", "tiny/sft_lora16/version_2"],
        ["rm_lora16", "rm", "to", "run", "pretrain", "-", "0.5", "-", "other/rm_a/version_0"],
        ["ppo_kl01", "ppo", "to", "run", "sft_lora16,", "rm_lora16", "-", "-", "-", "-"],
    ]  # fmt: skip
    assert last.startswith("0 of 5 runs are finished; if each other run takes as long as its basis, more than 2.0 min")


def test_only_limits_the_table_and_must_name_runs(tmp_path, capsys):
    config, logs = write_plan(tmp_path, [small_run(stem) for stem in FIVE]), tmp_path / "logs"
    command = ["study", "--config", str(config), "--logs_dir", str(logs), "--dry-run", "--only"]
    assert main([*command, "rm_lora16"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 of 1 runs are finished"
    assert main([*command, "lost"]) == 2
    assert capsys.readouterr().err.startswith("kochat: error: --only: 'lost' is no run of this study")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["tiny/b/version_0", "tiny/a/version_0", "other/a/version_0"], "tiny/a/version_0"),
        (["other/a/version_0", "tiny/b/version_0"], "tiny/b/version_0"),
        (["other/b/version_0", "a/version_3"], "a/version_3"),
        (["a/version_0", "a/version_1"], "a/version_0"),  # the first given is the newest
        (["example/a/version_0"], None),
    ],
)
def test_the_basis_is_the_run_that_is_most_alike(tmp_path, given, found):
    for age, path in enumerate(given):
        write_done(tmp_path, path, "sft", age)
    write_done(tmp_path, "tiny/c/version_0", "rm")
    basis = basis_of("a", "sft", "tiny", find_earlier_runs(tmp_path))
    assert (basis and basis.path.as_posix()) == found

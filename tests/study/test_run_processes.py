"""Each run of a study in a process of its own: what comes back of it, and on which GPU it runs."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from kochat.errors import RunError, UserError
from kochat.lightning_cli import Ended
from kochat.study import runner
from kochat.study.plan_files import read_plan
from kochat.study.resolved_study import resolve_study
from kochat.study.run_processes import ProcessPool, SharedProcess, Started, devices, has_server, silent_end
from kochat.study.runner import StudyOptions, run_all
from tests.study.small_study import CONFIGS, small_run, write_plan

needs_server = pytest.mark.skipif(not has_server(), reason="the platform has no fork server")
SFT = str(CONFIGS / "sft_lora16.yaml")


@pytest.fixture
def pool():
    pool = ProcessPool()
    yield pool
    pool.close()


@needs_server
@pytest.mark.slow
def test_an_error_of_a_run_comes_back_in_its_own_words(pool, tmp_path):
    pool.start(Started("sft", ["fit", "--config", SFT, "--logs_dir", str(tmp_path), "--model.learning_rate", "much"]))
    assert not pool.free
    with pytest.raises(UserError, match=r"learning_rate"):
        pool.wait()
    assert pool.free


@needs_server
@pytest.mark.slow
def test_a_run_that_was_killed_says_so(pool, tmp_path):
    pool.start(Started("sft", ["fit", "--config", SFT, "--logs_dir", str(tmp_path)]))
    (child,) = multiprocessing.active_children()
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(RunError, match="run sft: its process was ended by SIGKILL, often for lack of memory"):
        pool.wait()


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (130, KeyboardInterrupt, ""),
        (-2, KeyboardInterrupt, ""),
        (-11, RunError, "run sft: its process was ended by SIGSEGV"),
        (1, RunError, "run sft: its process ended with exit status 1; the lines above say why"),
    ],
)
def test_what_a_run_without_a_result_means(status, error, text):
    found = silent_end("sft", status)
    assert isinstance(found, error)
    assert str(found).startswith(text)


@needs_server
@pytest.mark.slow
def test_closing_ends_what_still_runs(tmp_path):
    pool = ProcessPool(["0", "1"])
    for name in ("a", "b"):
        pool.start(Started(name, ["fit", "--config", SFT, "--logs_dir", str(tmp_path)]))
    pool.close()
    assert multiprocessing.active_children() == []


STUDY = """
import multiprocessing, sys, time
from kochat.study.run_processes import ProcessPool, Started
if __name__ == "__main__":
    ProcessPool().start(Started("sft", sys.argv[1:]))
    print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(600)
"""


@needs_server
@pytest.mark.slow
def test_a_run_ends_with_its_study(tmp_path):
    """The study's process is killed and can tell nobody."""
    script = tmp_path / "study.py"
    script.write_text(STUDY, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(CONFIGS.parent)}
    command = [sys.executable, str(script), "fit", "--config", SFT, "--logs_dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as study:
        child = int(study.stdout.readline())
        study.kill()
    for _ in range(600):
        if not runs(child):
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the run goes on")


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_where_there_is_no_fork_server_the_process_is_shared(tmp_path):
    pool = SharedProcess()
    with pytest.raises(UserError, match="learning_rate"):
        pool.start(Started("sft", ["fit", "--config", SFT, "--model.learning_rate", "much"]))
    assert pool.free


@pytest.mark.parametrize(
    ("count", "visible", "found"),
    [
        (0, "", [None]),
        (1, "3", [None]),
        (2, "", ["0", "1"]),
        (2, "3, 5", ["3", "5"]),
        (2, "GPU-a,GPU-b", ["GPU-a", "GPU-b"]),
    ],
)
def test_each_run_at_a_time_has_its_own_gpu(monkeypatch, count, visible, found):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices() == found


class Pretended:
    """Runs that end in the order in which they started; two at once."""

    at_once = 2

    def __init__(self, logs):
        self.logs, self.running, self.most, self.lines = logs, [], 0, []

    @property
    def free(self):
        return len(self.running) < self.at_once

    def start(self, run):
        assert not run.progress_bar
        self.running.append(run.name)
        self.lines.append("+".join(self.running))

    def wait(self):
        name = self.running.pop(0)
        folder = self.logs / "tiny" / name / "version_0"
        folder.mkdir(parents=True)
        (folder / "done.json").write_text('{"seconds": 60.0}', encoding="utf-8")
        return name, Ended(folder)

    def close(self):
        self.running = []


def test_two_runs_at_once_after_those_that_they_need(tmp_path, monkeypatch, capsys):
    five = [small_run(stem) for stem in ("pretrain", "baseline", "sft_lora16", "rm_lora16", "ppo_kl01")]
    config, logs = write_plan(tmp_path, five), tmp_path / "logs"
    study, pool = resolve_study(read_plan(config), logs), Pretended(logs)
    monkeypatch.setattr(runner, "run_pool", lambda: pool)
    folders = run_all(study, study.runs, StudyOptions(config, logs))
    assert list(folders) == ["pretrain", "baseline", "sft_lora16", "rm_lora16", "ppo_kl01"]
    assert pool.lines == ["pretrain", "baseline", "baseline+sft_lora16", "sft_lora16+rm_lora16", "ppo_kl01"]
    assert "[ 5/5] ppo_kl01: " in capsys.readouterr().out

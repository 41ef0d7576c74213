"""Cleaning gives the same bytes for any number of workers, and goes on where it was stopped."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kochat.cleaning import passes, workers, workspace
from kochat.cleaning.cleaner import clean
from kochat.cleaning.rules.stray_quotes import strip_stray_quotes
from kochat.cleaning.settings import CleanSettings
from kochat.cleaning.workspace import Workspace
from kochat.data.files import PROMPT_FILE, SFT_FILE
from kochat.data.guard import Guard
from kochat.errors import RunError, UserError
from kochat.text.sameness import content_words
from kochat.world.generator import write_sample
from tests.data.raw_data import files, sound_rows, write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "v1"
    write_sample(folder, 0, "tiny")
    return folder


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "BYTES_PER_WORKER", 1)


def test_one_worker_two_workers_and_a_second_run_give_the_same_bytes(world: Path, tmp_path: Path, small_tasks) -> None:
    reports = [clean(world, tmp_path / name, workers=count) for name, count in (("one", 1), ("two", 2), ("again", 1))]
    assert reports[0] == reports[1] == reports[2]
    assert sum(counts.dropped for counts in reports[0].files.values()) > 100
    assert files(tmp_path / "one") == files(tmp_path / "two") == files(tmp_path / "again")


def test_cleaning_v2_gives_v2(world: Path, tmp_path: Path) -> None:
    first = clean(world, tmp_path / "v2")
    second = clean(tmp_path / "v2", tmp_path / "v3")
    v2, v3 = files(tmp_path / "v2"), files(tmp_path / "v3")
    for name in (*first.files, "test.jsonl"):
        assert v3[name] == v2[name], name
    assert v3["ledger.jsonl"] == b""
    assert all(counts.read == counts.kept for counts in second.files.values())


def stopped_after(monkeypatch: pytest.MonkeyPatch, pieces: int, error: BaseException) -> list[str]:
    """Let a cleaning stop after so many finished pieces of work; return the list of those that are begun later."""
    begun: list[str] = []
    finish = Workspace.finish

    def finish_and_stop(self, name, told):
        finish(self, name, told)
        begun.append(name)
        if len(begun) == pieces:
            raise error

    monkeypatch.setattr(Workspace, "finish", finish_and_stop)
    return begun


@pytest.mark.parametrize("pieces", [1, 4, 6])
def test_an_interrupted_cleaning_goes_on_from_its_finished_files(
    world: Path, tmp_path: Path, monkeypatch, pieces
) -> None:
    clean(world, tmp_path / "whole")
    with monkeypatch.context() as patch:
        done = stopped_after(patch, pieces, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            clean(world, tmp_path / "v2")
    assert not (tmp_path / "v2").exists()
    assert (tmp_path / ".v2.cleaning").is_dir()
    with monkeypatch.context() as patch:
        later = stopped_after(patch, -1, KeyboardInterrupt())
        clean(world, tmp_path / "v2")
    assert len(done) == pieces
    assert set(done).isdisjoint(later)
    assert len(done) + len(later) == 8  # four files, two passes
    assert files(tmp_path / "v2") == files(tmp_path / "whole")
    assert not (tmp_path / ".v2.cleaning").exists()


def test_what_changed_in_between_starts_over(world: Path, tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        stopped_after(patch, 3, RunError("a worker died"))
        with pytest.raises(RunError):
            clean(world, tmp_path / "v2")
    later = stopped_after(monkeypatch, -1, KeyboardInterrupt())
    settings = CleanSettings(max_prompt=60)
    clean(world, tmp_path / "v2", settings)
    assert len(later) == 8
    clean(world, tmp_path / "other", settings)
    assert files(tmp_path / "v2") == files(tmp_path / "other")


def test_a_file_that_changes_while_it_is_cleaned(world: Path, tmp_path: Path, monkeypatch) -> None:
    raw = write(tmp_path / "v1" / SFT_FILE, sound_rows(9)).parent
    run = passes.Cleaning.run

    def run_and_write(self):
        report = run(self)
        write(raw / SFT_FILE, sound_rows(8))
        return report

    monkeypatch.setattr(passes.Cleaning, "run", run_and_write)
    with pytest.raises(UserError, match="was changed while it was cleaned"):
        clean(raw, tmp_path / "v2")
    assert not (tmp_path / "v2").exists()


def test_two_cleanings_into_one_folder(tmp_path: Path) -> None:
    raw = write(tmp_path / "v1" / SFT_FILE, sound_rows(9)).parent
    who = rf"another clean is writing there \(process {os.getpid()} on .*, since 2.*\); wait for it, or choose another --out"
    with Workspace(tmp_path / "v2", "another"), pytest.raises(UserError, match=who):
        clean(raw, tmp_path / "v2")
    clean(raw, tmp_path / "v2")


def test_a_killed_cleaning_holds_no_lock(tmp_path: Path) -> None:
    raw = write(tmp_path / "v1" / SFT_FILE, sound_rows(9)).parent
    script = (
        "import os, signal; from pathlib import Path; from kochat.cleaning.workspace import Workspace\n"
        f"Workspace(Path({str(tmp_path / 'v2')!r}), 'another').__enter__()\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert (tmp_path / ".v2.cleaning" / "holder.json").exists()
    clean(raw, tmp_path / "v2")
    assert not (tmp_path / ".v2.cleaning").exists()


def test_the_code_that_decides_the_outcome_is_in_the_key() -> None:
    """A change to a rule must not go on from the work of the old one."""
    for function in (clean, strip_stray_quotes, Guard.reason, content_words):
        room = Path(inspect.getsourcefile(function)).relative_to(Path(workspace.__file__).parents[1]).parts[0]
        assert room in workspace._CODE


def test_what_an_earlier_cleaning_left_goes(tmp_path: Path) -> None:
    raw = write(tmp_path / "v1" / SFT_FILE, sound_rows(9)).parent
    write(raw / PROMPT_FILE, [{"prompt": row["prompt"]} for row in sound_rows(9)])
    clean(raw, tmp_path / "v2")
    for name in ("ledger.html", "mine.txt"):
        write(tmp_path / "v2" / name, [])
    (raw / PROMPT_FILE).unlink()
    clean(raw, tmp_path / "v2")
    assert not (tmp_path / "v2" / PROMPT_FILE).exists()
    assert not (tmp_path / "v2" / "ledger.html").exists()  # it showed another ledger
    assert (tmp_path / "v2" / "mine.txt").exists()


SCRIPT = """
import sys
from kochat.cleaning import passes
from kochat.cleaning import workers
from kochat.cli import main
workers.BYTES_PER_WORKER = 1
if __name__ == "__main__":
    sys.exit(main(["clean", sys.argv[1], "--out", sys.argv[2], "--workers", "2"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_cleaning_leaves_no_process_and_nothing_half_written(tmp_path: Path, kill: signal.Signals) -> None:
    raw = write(tmp_path / "v1" / SFT_FILE, sound_rows(200) * 150).parent
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(raw), str(tmp_path / "v2")], stderr=subprocess.PIPE, start_new_session=True
    )
    part = tmp_path / ".v2.cleaning" / f"examined-{SFT_FILE}.jsonl.tmp"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert part.exists()
    os.killpg(process.pid, kill) if kill == signal.SIGINT else process.kill()
    _, err = process.communicate(timeout=60)
    if kill == signal.SIGINT:
        assert process.returncode == 130
        assert err.decode().splitlines() == ["kochat: interrupted; finished work is kept"]
    while _group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _group_lives(process.pid)
    assert not (tmp_path / "v2").exists()
    report = clean(raw, tmp_path / "v2")
    assert report.files[SFT_FILE].kept == 200


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True

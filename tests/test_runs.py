"""Runs: their folders and versions, what counts as finished, and what a stage's input resolves to."""

import json
from pathlib import Path

import pytest

from kochat import runs
from kochat.errors import UserError
from kochat.runs import RunSpace, next_version, versions
from kochat.storage import write_json


@pytest.fixture
def space(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return RunSpace(Path("logs"), "mine")


LOGS = Path("logs")


def make(space, name, version, study="mine", done=True, export=True):
    folder = (
        space.logs_dir / study / name / f"version_{version}" if study else space.logs_dir / name / f"version_{version}"
    )
    (folder / "export" if export else folder).mkdir(parents=True)
    if done:
        (folder / "done.json").write_text(json.dumps({"stage": "sft"}))
    return folder


def test_folders_are_named_after_study_and_run(tmp_path):
    assert RunSpace(tmp_path).folder("sft") == tmp_path / "sft"
    assert RunSpace(tmp_path, "trial").folder("sft") == tmp_path / "trial" / "sft"
    assert RunSpace().folder("sft") == Path("lightning_logs/sft")


def test_versions_are_ordered_by_number_and_counted_on(tmp_path):
    assert next_version(tmp_path / "sft") == 0
    for name in ("version_10", "version_2", "version_x", "test_0"):
        (tmp_path / name).mkdir()
    assert [path.name for path in versions(tmp_path)] == ["version_2", "version_10"]
    assert next_version(tmp_path) == 11


def test_only_done_json_makes_a_run_finished(space):
    make(space, "sft", 0)
    make(space, "sft", 1, done=False)
    assert space.newest_finished("sft").name == "version_0"
    newest = make(space, "sft", 10)
    make(space, "sft", 9)
    assert space.newest_finished("sft") == newest
    assert space.newest_finished("rm") is None


def test_the_own_study_comes_first(space):
    outside = make(space, "sft", 7, study=None)
    assert space.newest_finished("sft") == outside
    unfinished = make(space, "sft", 0, done=False)
    assert space.newest_finished("sft") == outside
    (unfinished / "done.json").write_text("{}")
    assert space.newest_finished("sft") == unfinished
    assert RunSpace(LOGS, "other").newest_finished("sft") == outside
    assert RunSpace(LOGS).newest_finished("sft") == outside


def test_examples_never_resolve(space):
    """The committed runs are to look at: neither their study's name nor a run inside it is an input."""
    make(space, "sft", 0, study="example")
    (space.logs_dir / "example" / "version_0" / "export").mkdir(parents=True)
    (space.logs_dir / "example" / "version_0" / "done.json").write_text("{}")
    assert RunSpace(LOGS).find_source("example") is None
    assert RunSpace(LOGS).find_source("sft") is None


def test_examples_do_not_resolve_in_a_study_of_their_name(space):
    make(space, "sft", 0, study="example")
    assert RunSpace(LOGS, "example").find_source("sft") is None


def test_a_run_name_gives_the_newest_finished_export(space):
    run = make(space, "sft", 0)
    assert space.find_source("sft").directory == run / "export"
    assert space.find_source("sft").directory is not None
    make(space, "lost", 0, export=False)
    assert space.find_source("lost") is None


def test_a_directory_with_a_slash_is_itself_or_its_export(space, tmp_path):
    run = make(space, "sft", 0)
    assert space.find_source(str(run)).directory == run / "export"
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert space.find_source("models/mine").directory.resolve() == tmp_path / "models" / "mine"
    assert space.find_source("./models").directory.resolve() == tmp_path / "models"


def test_a_bare_name_is_a_directory_only_where_it_holds_a_model(space, tmp_path):
    run = make(space, "sft", 0)
    (tmp_path / "sft").mkdir()  # an unrelated folder of the run's name
    assert space.find_source("sft").directory == run / "export"
    (tmp_path / "sft" / "config.json").write_text("{}")
    assert space.find_source("sft").directory.resolve() == tmp_path / "sft"


@pytest.mark.parametrize("value", ["skt/kogpt2-base-v2", "EleutherAI/polyglot-ko-1.3b", "a_b/c.d"])
def test_one_slash_is_a_hub_id(space, value):
    assert space.find_source(value).directory is None


@pytest.mark.parametrize("value", ["models/lost/export", "/models/lost", "./lost", "../lost/x", "skt/한 글"])
def test_other_paths_must_exist(space, value):
    assert space.find_source(value) is None
    assert space.missing_source("model.base", value) == (
        f"model.base: no directory {value!r}; give an existing directory, a run name or a hub id such as skt/kogpt2-base-v2"
    )


def test_a_missing_run_names_the_command_that_makes_it(space):
    message = "model.policy: no finished run 'sft_lora16' under logs/mine/sft_lora16; make it with: "
    message += "python -m kochat fit --config configs/sft_lora16.yaml"
    assert space.missing_source("model.policy", "sft_lora16") == message
    with pytest.raises(UserError, match="no finished run 'sft_lora16'"):
        space.require_source("model.policy", "sft_lora16")
    make(space, "sft_lora16", 0)
    assert space.missing_source("model.policy", "sft_lora16") is None


def test_json_is_written_whole(tmp_path):
    write_json(tmp_path / "done.json", {"말": 1})
    assert runs.read_done(tmp_path) == {"말": 1}
    with pytest.raises(TypeError):
        write_json(tmp_path / "done.json", {"bad": object()})
    assert runs.read_done(tmp_path) == {"말": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["done.json"]


def test_embedded_names_the_base_in_the_package(space):
    source = space.require_source("model.base", "embedded")
    assert source.directory is not None
    assert source.directory.parts[-3:] == ("kochat", "world", "base")

"""Preparing data: the embedded world or a copy of the user's files, never written over what came from elsewhere."""

import json

import pytest

from kochat.errors import UserError
from kochat.study.data_preparation import prepare_study
from kochat.world.generator import write_sample

pytestmark = pytest.mark.slow


def digest(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_embedded_world_is_cleaned_and_scored(tmp_path):
    data = prepare_study(tmp_path / "data", "sample", "tiny", 0)
    summary = json.loads((tmp_path / "data" / "v2" / "summary.json").read_text(encoding="utf-8"))
    assert data["summary"] == str(tmp_path / "data" / "v2" / "summary.json")
    assert summary["files"]["kochatgpt_1_SFT.jsonl"]["read"] == 400
    scores = data["dirt_scores"]
    for kind, score in scores.items():
        assert score.get("recall", 1) >= 0.95, kind  # a single miss among a handful is more than one in a hundred
        assert score["precision"] >= 0.95, kind
    labels = (tmp_path / "data" / "v1" / "dirt.jsonl").read_text(encoding="utf-8").count("\n")
    assert 0.9 * labels < scores["all"]["planted"] <= labels  # what left for the test set is not counted
    before = digest(tmp_path / "data" / "v2")
    assert prepare_study(tmp_path / "data", "sample", "tiny", 0) == data
    assert digest(tmp_path / "data" / "v2") == before


def test_raw_files_are_copied_and_left_as_they_are(tmp_path):
    write_sample(tmp_path / "mine", 0, "tiny")
    before = digest(tmp_path / "mine")
    data = prepare_study(tmp_path / "data", tmp_path / "mine", "tiny", 0)
    assert data["dirt_scores"] is None  # nothing is known about the dirt of a user's data
    assert digest(tmp_path / "mine") == before
    copied = digest(tmp_path / "data" / "v1")
    for name in ("kochatgpt_1_SFT.jsonl", "kochatgpt_2_RM.jsonl", "kochatgpt_3_PPO.jsonl", "test.jsonl"):
        assert copied[name] == before[name]


def test_data_that_was_interrupted_is_written_again(tmp_path, monkeypatch):
    from kochat.world import generator

    def interrupted(folder, seed, size):
        (folder / "corpus.jsonl").write_text("{", encoding="utf-8")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(generator, "write_sample", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare_study(tmp_path / "data", "sample", "tiny", 0)
    assert prepare_study(tmp_path / "data", "sample", "tiny", 0)["dirt_scores"]["all"]["planted"] > 100


def test_data_from_elsewhere_is_never_written_over(tmp_path):
    write_sample(tmp_path / "mine", 0, "tiny")
    prepare_study(tmp_path / "data", tmp_path / "mine", "tiny", 0)
    before = digest(tmp_path / "data" / "v1")
    with pytest.raises(
        UserError, match=rf"v1: holds data from {tmp_path}/mine, not from sample; choose another data_dir"
    ):
        prepare_study(tmp_path / "data", "sample", "tiny", 0)
    assert digest(tmp_path / "data" / "v1") == before
    (tmp_path / "own" / "v1").mkdir(parents=True)
    (tmp_path / "own" / "v1" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds data from somewhere else"):
        prepare_study(tmp_path / "own", "sample", "tiny", 0)

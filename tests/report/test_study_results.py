import json

import pytest

from kochat.errors import UserError
from kochat.report.study_results import read_study
from tests.report.synthetic import write_study


@pytest.fixture
def folder(tmp_path):
    return write_study(tmp_path, prompts=6)


def test_finished_runs_are_read_by_stage_rank_and_version(folder):
    results = read_study(folder)
    assert [run.name for run in results.of("sft", "v2")] == ["sft_lora0", "sft_lora8", "sft_lora16"]
    assert [run.name for run in results.of("ppo", "v2")] == ["ppo_kl01", "ppo_kl05"]
    assert results.missing == []
    assert results.runs["sft_lora8"].done.parameters.trainable == 98_304
    assert results.runs["sft_lora8"].seed == 42


def test_a_run_without_done_json_is_missing_though_its_files_are_there(tmp_path):
    results = read_study(write_study(tmp_path, without=frozenset({"ppo_kl05"})))
    assert "ppo_kl05" not in results.runs
    assert [entry.name for entry in results.missing] == ["ppo_kl05"]


def test_versions_pair_runs_that_differ_in_data_alone(folder):
    results = read_study(folder)
    assert [(a.name, b.name) for a, b in results.version_pairs("sft")] == [("sft_lora16_v1", "sft_lora16")]
    assert [(a.name, b.name) for a, b in results.version_pairs("ppo")] == [("ppo_kl01_v1", "ppo_kl01")]


def test_final_sft_is_of_the_final_ppos_rank_unless_named(folder):
    assert read_study(folder).final_sft.name == "sft_lora16"
    _edit(folder / "study.json", lambda study: study.update(final_sft="sft_lora8"))
    assert read_study(folder).final_sft.name == "sft_lora8"


def test_final_sft_without_a_rank_to_go_by_is_the_highest(folder):
    _edit(
        folder / "study.json",
        lambda study: [run.update(lora_rank=None) for run in study["runs"] if run["stage"] == "ppo"],
    )
    assert read_study(folder).final_sft.name == "sft_lora16"


def test_curves_skip_empty_and_non_finite_cells(folder):
    (folder / "sft_lora0/version_0/metrics.csv").write_text(
        "epoch,step,sft/train_loss,sft/val_loss\n0,0,2.5,\n0,1,nan,\n0,1,,2.25\n0,2,1.5,\n", encoding="utf-8"
    )
    run = read_study(folder).runs["sft_lora0"]
    assert run.curve("sft/train_loss") == [(0, 2.5), (2, 1.5)]
    assert run.curve("sft/val_loss") == [(1, 2.25)]
    assert run.curve("sft/unknown") == []


def test_an_answer_may_hold_a_line_separator(folder):
    row = {"id": "t000", "prompt": "질문", "reference": None, "answer": "하나\u2028둘", "kind": "talk", "scores": {}}
    (folder / "sft_lora0/version_0/scored.jsonl").write_text(
        json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    assert read_study(folder).runs["sft_lora0"].answers[0].answer == "하나\u2028둘"


def test_samples_stand_in_where_nothing_was_scored(folder):
    home = folder / "sft_lora0/version_0"
    (home / "scored.jsonl").rename(home / "samples.jsonl")
    assert len(read_study(folder).runs["sft_lora0"].test_answers) == 6


def test_no_study_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match=r"study\.json is missing"):
        read_study(tmp_path)


def test_a_broken_line_is_named(folder):
    path = folder / "sft_lora0/version_0/scored.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text("\n".join([lines[0], '{"id": "x"}', *lines[2:]]), encoding="utf-8")
    with pytest.raises(UserError, match=r"scored\.jsonl:2: prompt: Field required"):
        read_study(folder)


def test_a_broken_study_file_is_one_line(folder):
    (folder / "study.json").write_text('{"name": "x"', encoding="utf-8")
    with pytest.raises(UserError, match=r"study\.json: JSON: ") as caught:
        read_study(folder)
    assert "\n" not in str(caught.value)


def _edit(path, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")

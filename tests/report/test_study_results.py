import json

import pytest

from kochat.errors import UserError
from kochat.report.study_results import read_study, value_order
from tests.report.synthetic import write_study


@pytest.fixture
def folder(tmp_path):
    return write_study(tmp_path, prompts=6)


def test_finished_runs_are_read_by_stage_and_factors(folder):
    results = read_study(folder)
    assert [run.name for run in results.main("sft")] == ["sft_lora0", "sft_lora8", "sft_lora16"]
    assert [run.name for run in results.main("ppo")] == ["ppo_kl01", "ppo_kl05"]
    assert results.missing == []
    assert results.runs["sft_lora8"].done.parameters.trainable == 98_304
    assert results.runs["sft_lora8"].done.seed == 42


def test_a_run_without_done_json_is_missing_though_its_files_are_there(tmp_path):
    results = read_study(write_study(tmp_path, without=frozenset({"ppo_kl05"})))
    assert "ppo_kl05" not in results.runs
    assert [entry.name for entry in results.missing] == ["ppo_kl05"]


def test_a_chapter_leaves_other_data_to_the_chapter_on_data(folder):
    results = read_study(folder)
    assert [run.name for run in results.of("sft")][-1:] == ["sft_lora16"]
    assert "sft_lora16_v1" in {run.name for run in results.of("sft")}
    assert "sft_lora16_v1" not in {run.name for run in results.main("sft")}
    for run in results.study.runs:
        run.factors["data"] = "v1"
    assert len(results.main("sft")) == 4


def test_compared_runs_stand_by_stage_with_the_reference_data_first(folder):
    names = [run.name for run in read_study(folder).compared]
    assert names == [
        "baseline", "sft_lora0", "sft_lora8", "sft_lora16", "sft_lora16_v1", "ppo_kl01", "ppo_kl05", "ppo_kl01_v1",
    ]  # fmt: skip


def test_origins_are_the_compared_runs_that_others_start_from(folder):
    results = read_study(folder)
    assert [run.name for run in results.origins(results.main("ppo"))] == ["sft_lora16"]
    assert results.origins(results.main("sft")) == []


def test_values_are_ordered_as_numbers(folder):
    assert sorted(["b", 16, None, 8, 0.5, "a"], key=value_order) == [None, 0.5, 8, 16, "a", "b"]


def test_a_study_of_the_old_form_is_to_be_written_again(folder):
    _edit(folder / "study.json", lambda study: study.pop("factors"))
    with pytest.raises(UserError, match=r"study\.json: factors: Field required; run `kochat study` again"):
        read_study(folder)


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

"""The reward models' tables, notes and plots in the report."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from kochat.stages import stages_by_name
from kochat.stages.reward_model import reward_figures as reward_plots
from kochat.stages.reward_model.reward_records import make_reward_records
from kochat.stages.reward_model.reward_tables import (
    accuracy_table,
    calibration_table,
    length_notes,
    length_table,
    scores_table,
    size_notes,
)
from kochat.study import composing
from tests.report.synthetic import NASTY, read_view, stage_of, write_study

pytestmark = pytest.mark.slow

RANKS = ("rm_lora0", "rm_lora8", "rm_lora16")
# Better longer, better shorter, and of equal length; 0.75 and 0.9 predicted.
ROWS = [
    {"id": "a", "completions": ["가나다", "가나", "가"], "scores": [2.1972245773362196, 1.0986122886681098, 0.0]},
    {"id": "b", "completions": ["가", "가나", "가나"], "scores": [0.0, 1.0986122886681098, 1.0986122886681098]},
]


def write_rows(folder, rows, names=RANKS):
    for name in names:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / name / "version_0/rm_scores.jsonl").write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    folder = write_study(tmp_path, prompts=6)
    write_rows(folder, ROWS)
    return folder


def stage_view(folder, lang="en", stage="rm"):
    return stage_of(read_view(folder, lang), stage)


def write_report(folder, lang="ko"):
    return composing.write_report(folder, lang, stages_by_name())


def table(make, folder, lang="en"):
    view = stage_view(folder, lang)
    made = make(view, make_reward_records(view.runs))
    return [{cell.metric: cell.text for cell in row} for row in made.rows]


def notes(make, folder, lang="en"):
    view = stage_view(folder, lang)
    return make(view, make_reward_records(view.runs))


def test_accuracy_with_its_interval(folder):
    row = table(accuracy_table, folder)[0]
    # a is right in all three, b wrong in two and level in one
    assert row["pair_accuracy"] == "58.3% (16.7%, 100.0%)"
    assert (row["pairs"], row["margin"]) == ("6", "0.549")


def test_scores_raw_and_centred(folder):
    export = folder / "rm_lora8/version_0/export"
    export.mkdir()
    (export / "kochat.json").write_text('{"reward_mean": 1.0, "reward_std": 0.5}', encoding="utf-8")
    full, centred, _ = table(scores_table, folder)
    assert [full[f"score_{grade}"] for grade in ("best", "middle", "worst")] == ["1.099", "1.099", "0.549"]
    assert [full[f"centred_{grade}"] for grade in ("best", "middle", "worst")] == ["–", "–", "–"]
    assert [centred[f"centred_{grade}"] for grade in ("best", "middle", "worst")] == ["+0.197", "+0.197", "-0.901"]


def test_calibration_by_hand(folder):
    # 0.5 once, level; 0.75 four times, two right; 0.9 once, right
    assert table(calibration_table, folder)[2] == {
        "": "Reward model rank 16",
        "pair_accuracy": "58.3% (16.7%, 100.0%)",
        "calibration_error": "0.183",  # (4 * 0.25 + 1 * 0.1) / 6
        "overconfidence": "+0.150",  # (4 * 0.25 - 1 * 0.1) / 6
    }


def test_length_by_hand(folder):
    assert table(length_table, folder)[2] == {
        "": "Reward model rank 16",
        "length_correlation": "1.000 (1.000, 1.000)",
        "length_correlation_overall": "1.000",
        "shorter_better": "0.0% (0.0%, 0.0%)",
        "n_shorter": "2",
        "longer_better": "100.0% (100.0%, 100.0%)",
        "n_longer": "3",
    }


def test_a_note_says_what_length_alone_would_reach(folder):
    assert notes(length_notes, folder) == [
        "Length is the number of characters without whitespace. The better answer is longer in 3 pairs and shorter in 2; "
        "pairs of equal length (1) are left out. Always choosing the longer answer would be right in 60.0%."
    ]
    assert "항상 긴 답변을 고르면 60.0%를 맞힌다." in notes(length_notes, folder, "ko")[0]
    write_rows(folder, ROWS[:1], names=["rm_lora0"])  # other records than the others': no count is common
    assert notes(length_notes, folder) == []


def test_few_records_are_said_to_be_few(folder):
    assert notes(size_notes, folder) == [
        "There are only 2 test records (three pairs each), so the intervals are wide. With few pairs the calibration "
        "error is above 0 by chance alone."
    ]
    write_rows(folder, [{**ROWS[0], "id": str(i)} for i in range(100)])
    assert notes(size_notes, folder) == []


def test_runs_that_kept_no_texts_have_dashes_for_length(folder):
    write_rows(folder, [{"id": "a", "scores": [2.0, 1.0, 0.0]}])
    row = table(length_table, folder)[0]
    assert [text for metric, text in row.items() if metric] == ["–"] * 6
    assert notes(length_notes, folder) == []
    assert write_report(folder).is_file()


def test_constants_and_texts_that_are_markup_make_a_report(folder):
    rows = [{"id": NASTY, "prompt": NASTY, "completions": [NASTY] * 3, "scores": [1.0, 1.0, 1.0]}]
    write_rows(folder, rows)
    html = write_report(folder).read_text(encoding="utf-8")
    assert "50.0% (50.0%, 50.0%)" in html
    assert "<script" not in html


def test_a_study_whose_reward_models_scored_nothing_says_so(folder):
    for path in folder.glob("rm_*/version_0/rm_scores.jsonl"):
        path.unlink()
    html = write_report(folder, "en").read_text(encoding="utf-8")
    assert "The runs for this section are not finished" in html[html.index('id="rm_trust"') :]


def words(svg):
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_distributions_have_a_panel_a_model_and_a_colour_a_grade(folder):
    svg = reward_plots.score_distributions(stage_view(folder), "scores")
    assert {"good answers", "middle answers", "bad answers", "Reward model rank 8"} <= set(words(svg))
    assert reward_plots.score_distributions(stage_view(folder, stage="sft"), "scores") is None


def test_margins_name_the_pairs(folder):
    view = stage_view(folder, "ko")
    svg = reward_plots.margin_distributions(view, "margins", make_reward_records(view.runs))
    assert {"좋은 답변 − 중간 답변", "좋은 답변 − 나쁜 답변", "중간 답변 − 나쁜 답변", "점수 차"} <= set(words(svg))
    assert reward_plots.margin_distributions(view, "margins", {}) is None


@pytest.mark.parametrize("values", [[-3.0, 0.5, 21.0], [1.0, 2.0], [-2.0, -1.0], [0.0]])
def test_no_bin_of_margins_mixes_right_and_wrong(values):
    edges = reward_plots._edges_at_zero(np.array(values))
    assert 0.0 in edges
    assert edges[0] <= min(values) <= max(values) <= edges[-1]
    assert 2 <= len(edges) - 1 <= 26


def test_calibration_shows_the_count_of_every_bin(folder):
    view = stage_view(folder, "ko")
    records = make_reward_records(view.runs[:1])
    svg = reward_plots.calibration_curves(view, "curve", records)
    assert [word for word in words(svg) if word in ("1", "4", "6")] == ["1", "4", "1"]
    assert {"예측한 선호도", "맞힌 비율"} <= set(words(svg))
    assert reward_plots.calibration_curves(view, "curve", {}) is None

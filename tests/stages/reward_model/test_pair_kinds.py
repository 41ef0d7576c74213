"""The report's accuracy by kind of pair, from files by hand."""

import json
import xml.etree.ElementTree as ET

import pytest

from kochat.errors import UserError
from kochat.metrics.intervals import wilson_bounds
from kochat.stages import stages_by_name
from kochat.stages.reward_model.pair_kinds import kind_bars, kinds_table, pair_accuracies, prompt_findings
from kochat.stages.reward_model.reward_records import make_reward_records
from kochat.study import composing
from kochat.study.conclusions import make_findings
from kochat.study.stage_reports import find_stage_reports
from tests.report.synthetic import NASTY, read_view, stage_of, write_study

NAMES = ("rm_lora0", "rm_lora8", "rm_lora16")


def write_lines(folder, name, file, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / name / "version_0" / file).write_text(text, encoding="utf-8")


def pair(index, kind, scores, prompt=None):
    return {
        "id": f"{kind}{index}", "prompt": prompt or f"질문 {index}", "better": "가", "worse": "나", "kind": kind, "scores": scores,
    }  # fmt: skip


PAIRS = [
    pair(0, "length", [1.0, 0.0]),
    pair(1, "length", [0.0, 1.0]),
    pair(0, "wrong", [2.0, 1.0]),
    pair(1, "wrong", [2.0, 1.0]),
    pair(2, "wrong", [1.0, 1.0]),
    pair(3, "wrong", [0.0, 1.0]),
    pair(0, "my-kind", [1.0, 0.0]),
]


def record(index, other_score):
    row = {"id": f"p{index}", "prompt": f"질문 {index}", "completions": ["가", "나", "다"], "scores": [1.0, 0.0, -1.0]}
    return row if other_score is None else {**row, "other": "라", "other_score": other_score}


@pytest.fixture
def folder(tmp_path):
    """rm_lora0 is right in 3 of 6 prompts and has labelled pairs; rm_lora8 in 6 of 6 and has none; rm_lora16 is an older run."""
    folder = write_study(tmp_path, prompts=6)
    write_lines(folder, "rm_lora0", "rm_scores.jsonl", [record(i, 0.0 if i < 3 else 2.0) for i in range(6)])
    write_lines(folder, "rm_lora0", "pair_scores.jsonl", PAIRS)
    write_lines(folder, "rm_lora8", "rm_scores.jsonl", [record(i, 0.0) for i in range(6)])
    return folder


def made(make, folder, lang="en"):
    view = stage_of(read_view(folder, lang), "rm")
    records = make_reward_records(view.runs)
    return make(view, pair_accuracies(view.runs, records))


def rows_of(table):
    return {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}


def percent(share, trials):
    return "{:.1f}% ({:.1f}%, {:.1f}%)".format(*(100 * x for x in (share, *wilson_bounds(share, trials))))


def test_the_table_by_hand(folder):
    table = made(kinds_table, folder)
    assert table.header[3:] == ["Reward model rank 0 (full)", "Reward model rank 8"]
    rows = rows_of(table)
    assert list(rows) == [
        "good answer to another prompt (automatic)", "wrong fact", "length (both equally good)", "my-kind",
    ]  # fmt: skip
    own, wrong, length, mine = rows.values()
    assert own == ["near 100%: the answer must fit the prompt", "6", percent(0.5, 6), percent(1.0, 6)]
    assert wrong == ["near 100%: prefer the right fact", "4", percent(0.625, 4), "–"]
    assert length == ["near 50%: length alone must not decide", "2", percent(0.5, 2), "–"]
    assert mine == ["near 100%", "1", percent(1.0, 1), "–"]
    assert {(cell.run, cell.metric) for cell in table.rows[1][3:]} == {
        ("rm_lora0", "pairs_wrong"),
        ("rm_lora8", "pairs_wrong"),
    }


def test_korean_words(folder):
    kinds = ("other_prompt", "wrong", "unknown", "unknown_wrong", "rude", "half", "noise", "length")
    write_lines(folder, "rm_lora8", "pair_scores.jsonl", [pair(0, kind, [1.0, 0.0]) for kind in kinds])
    rows = rows_of(made(kinds_table, folder, "ko"))
    assert list(rows) == [
        "다른 질문의 좋은 답(자동)", "다른 질문의 답", "틀린 사실", "모른다는 답(정답과)", "모른다는 답(틀린 답과)",
        "무례한 답", "성의 없는 답", "잡음", "길이", "my-kind",
    ]  # fmt: skip
    assert rows["길이"][0].startswith("50%에 가깝게")
    assert rows["길이"][1] == "1–2"  # the runs have scored different numbers of pairs


def test_pairs_of_one_prompt_are_one_trial(folder):
    write_lines(folder, "rm_lora0", "pair_scores.jsonl", [pair(i, "wrong", [1.0, 0.0], "질문") for i in range(5)])
    assert rows_of(made(kinds_table, folder))["wrong fact"][1:3] == ["5", percent(1.0, 1)]


def test_runs_before_this_was_measured_have_no_table(folder):
    for name in NAMES:
        write_lines(folder, name, "rm_scores.jsonl", [record(0, None)])
        write_lines(folder, name, "pair_scores.jsonl", [])
    assert made(kinds_table, folder) is None
    assert made(kind_bars_named, folder) is None
    html = composing.write_report(folder, "en", stages_by_name()).read_text(encoding="utf-8")
    assert "Which differences" not in html


def kind_bars_named(view, accuracies):
    return kind_bars(view, "kinds", accuracies)


def test_the_bars_name_kinds_and_models(folder):
    svg = made(kind_bars_named, folder, "ko")
    words = [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert {"틀린 사실", "길이", "my-kind", "좋은 답변의 점수가 더 높은 비율 (%)"} <= set(words)
    assert sum("보상 모델" in word for word in words) == 2


def test_the_overview_names_a_model_that_hardly_reads_the_prompt(folder):
    view = stage_of(read_view(folder), "rm")
    (said,) = prompt_findings(view, make_reward_records(view.runs))
    assert said.startswith("Reward model rank 0 (full) hardly reads the prompt")
    assert percent(0.5, 6) in said
    assert "of 6 prompts" in said
    whole = read_view(folder)
    findings = dict(make_findings(whole, find_stage_reports(whole, stages_by_name())))
    assert [one.text for one in findings["Reward model"]] == [said]
    korean = read_view(folder, "ko")
    (one,) = dict(make_findings(korean, find_stage_reports(korean, stages_by_name())))["보상 모델"]
    assert "질문을 거의 읽지 않는다" in one.text


def test_a_model_that_reads_the_prompt_is_not_named(folder):
    write_lines(
        folder, "rm_lora0", "rm_scores.jsonl", [record(i, 0.0 if i < 3 else 2.0) for i in range(4)]
    )  # 3 of 4: 75%
    view = read_view(folder)
    assert "Reward model" not in dict(make_findings(view, find_stage_reports(view, stages_by_name())))


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_the_report_has_section_and_definition(folder, lang):
    write_lines(folder, "rm_lora8", "pair_scores.jsonl", [pair(0, NASTY, [1.0, 0.0])])
    html = composing.write_report(folder, lang, stages_by_name()).read_text(encoding="utf-8")
    section = html[html.index('id="rm_kinds"') : html.index('id="rm_trust"')]
    assert percent(0.625, 4) in section
    assert "<svg" in section
    assert "<script" not in html
    assert ("자기 질문의 답" if lang == "ko" else "Own prompt") in html


def test_a_line_that_is_no_pair_is_the_users_error(folder):
    write_lines(folder, "rm_lora0", "pair_scores.jsonl", [pair(0, "wrong", [1.0])])
    with pytest.raises(UserError, match=r"pair_scores\.jsonl:1: scores: List should have at least 2 items"):
        made(kinds_table, folder)

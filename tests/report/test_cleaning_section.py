from kochat.report.cleaning_section import dirt_table, files_table, rules_table
from kochat.report.study_files import CleaningSummary
from kochat.report.words import Texts
from tests.report.synthetic import CLEANING, DIRT

SUMMARY = CleaningSummary.model_validate(CLEANING)
TEXTS = Texts("en")


def shown(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_files_show_rows_before_and_after():
    assert shown(files_table(SUMMARY, TEXTS)) == [
        ["kochatgpt_1_SFT.jsonl", "1,200", "150", "100", "1,100"],
        ["kochatgpt_3_PPO.jsonl", "800", "10", "20", "780"],
    ]


def test_rules_show_their_counts_by_file_and_in_all():
    table = rules_table(SUMMARY, TEXTS)
    assert table.header == ["Action", "Rule", "kochatgpt_1_SFT.jsonl", "kochatgpt_3_PPO.jsonl", "Total"]
    assert shown(table) == [
        ["changed", "whitespace", "90", "10", "100"],
        ["changed", "stray quotes", "60", "0", "60"],
        ["removed", "exact duplicate", "70", "15", "85"],
        ["removed", "too short", "30", "0", "30"],
        ["removed", "a_new_rule", "0", "5", "5"],
    ]


def test_rows_that_could_not_be_read_count_as_removed():
    counts = {"read": 300, "kept": 295, "dropped": 2, "skipped": 3, "dropped_by": {"correction": 2}}
    summary = CleaningSummary.model_validate({"files": {"a": counts}})
    assert shown(files_table(summary, TEXTS)) == [["a", "300", "0", "5", "295"]]
    assert shown(rules_table(summary, TEXTS)) == [
        ["removed", "row that could not be read", "3", "3"],
        ["removed", "correction by hand", "2", "2"],
    ]


def test_rules_that_did_nothing_give_no_table():
    assert rules_table(CleaningSummary.model_validate({"files": {"a": {"read": 1, "kept": 1}}}), TEXTS) is None


def test_dirt_is_shown_by_kind_and_in_all():
    table = dirt_table(DIRT, TEXTS)
    assert table.header == ["Kind of dirt", "Planted", "Found", "Recall", "Rows touched", "Precision"]
    assert shown(table) == [
        ["too short", "40", "40", "100.0%", "–", "–"],
        ["whitespace", "100", "98", "98.0%", "–", "–"],
        ["all", "140", "138", "98.6%", "150", "92.0%"],
    ]

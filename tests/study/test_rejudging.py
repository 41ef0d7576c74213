"""A report of an old study shows today's verdicts, or says in one line why it cannot."""

import json
from pathlib import Path

import pytest

from kochat.cli import main
from kochat.report.study_results import read_study
from kochat.report.variant_records import SHARES, VERDICTS
from kochat.storage import read_json, write_json
from kochat.study.rejudging import with_current_verdicts
from tests.report.synthetic import write_study

ASKED = "의 수도는 어디인가요?"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A study of the embedded world whose judge said "abstained"."""
    folder = write_study(tmp_path / "old", prompts=24)
    for path in folder.rglob("scored.jsonl"):
        text = path.read_text(encoding="utf-8").replace("의 수도가 어디인지 알려 줘", ASKED)
        for word in ("unknown", "off_the_point"):
            text = text.replace(f'"verdict": "{word}"', '"verdict": "abstained"')
        path.write_text(text, encoding="utf-8")
    assert any('"abstained"' in path.read_text(encoding="utf-8") for path in folder.rglob("scored.jsonl"))
    return folder


def change(folder: Path, **fields: object) -> None:
    """Change fields of the first judged row of every run."""
    for path in folder.rglob("scored.jsonl"):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows[0] |= fields
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def without_dirt_scores(folder: Path) -> None:
    """Make a study of other data than the embedded world."""
    study = read_json(folder / "study.json")
    study["data"]["dirt_scores"] = None
    write_json(folder / "study.json", study)


def verdicts(folder: Path) -> dict[str, list[str | None]]:
    results = with_current_verdicts(read_study(folder))
    return {run.name: [answer.verdict for answer in run.answers] for run in results.runs.values()}


def test_old_answers_are_judged_again_and_their_files_stay(old: Path, tmp_path: Path) -> None:
    new = write_study(tmp_path / "new", prompts=24)  # the same answers with today's verdicts
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    found = verdicts(old)
    assert found == verdicts(new)
    assert {"correct", "wrong", "unknown", "off_the_point", "malformed"} <= {
        word for run in found.values() for word in run
    }
    assert before == {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}


def test_the_report_of_an_old_study_shows_the_five_kinds(old: Path) -> None:
    assert main(["report", str(old)]) == 0
    text = (old / "report.md").read_text(encoding="utf-8")
    assert "abstained" not in text
    for word in (
        "정답",
        "틀린 답",
        "모른다고 함",
        "빗나간 답",
        "깨진 답",
        "모른다고 한 비율",
        "빗나간 답의 비율",
        "깨진 답의 비율",
    ):
        assert word in text
    assert set(VERDICTS) == set(SHARES.values())


def test_a_question_in_words_of_an_older_world_is_found_by_its_id(old: Path) -> None:
    change(old, id="trained/capital/프랑스", prompt="옛날에 묻던 말", answer="리옹이에요.")
    assert all(run[0] == "wrong" for run in verdicts(old).values() if run)


def test_an_old_study_of_other_facts_is_an_error_in_one_line(old: Path, capsys: pytest.CaptureFixture) -> None:
    without_dirt_scores(old)
    assert main(["report", str(old)]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert "abstained" in error
    assert "run `kochat study` again" in error


def test_a_fact_that_the_world_no_longer_has_is_an_error_in_one_line(old: Path, capsys: pytest.CaptureFixture) -> None:
    change(old, id="trained/capital/아틀란티스", prompt="아틀란티스의 수도는?", scores={"verdict": "abstained"})
    assert main(["report", str(old)]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert "trained/capital/아틀란티스" in error


def test_todays_verdicts_are_kept_whatever_the_facts_are(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "new", prompts=6)
    without_dirt_scores(folder)
    results = read_study(folder)
    assert with_current_verdicts(results) is results

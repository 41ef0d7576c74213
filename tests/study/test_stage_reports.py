"""The report code of stages is checked before a study trains anything."""

import importlib
import sys

import pytest

from kochat.engine.stage import Stage
from kochat.errors import UserError
from kochat.study.stage_reports import check_stage_reports


def test_a_fault_in_a_stages_report_is_found_before_the_training(tmp_path, monkeypatch):
    folder = tmp_path / "odd_stage"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    stages = {"odd": Stage(name="odd", package="odd_stage")}
    check_stage_reports("ko", stages)  # a report of its own is not needed
    with pytest.raises(UserError, match="--lang 'fr'"):
        check_stage_reports("fr", stages)
    report = folder / "report.py"
    for code, message in (
        ("import lost_library", r"odd_stage\.report cannot be imported: No module named 'lost_library'"),
        ('DEFINED = ("speed",)', r"there is no text 'definition\.speed' in .*odd_stage"),
    ):
        report.write_text(code)
        importlib.invalidate_caches()
        sys.modules.pop("odd_stage.report", None)
        with pytest.raises(UserError, match=message):
            check_stage_reports("ko", stages)

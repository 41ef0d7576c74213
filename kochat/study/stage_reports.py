"""Find the parts of a study's report that stages provide: sections, sentences, limits and definitions.

A stage's package may hold ``report.py`` with any of these:

    sections(view: StageView) -> list[Section]                          its chapter
    findings(view: StageView) -> list[Sentence]                             sentences about its runs, for the overview
    vary_findings(view: StageView, contrast: Contrast) -> list[Sentence]    sentences about a contrast of its runs
    limits(view: StageView) -> list[str]                                what its numbers do not show
    DEFINED: Sequence[str]                                              metrics with a text ``definition.METRIC``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from kochat.engine.stage import Stage
from kochat.errors import UserError
from kochat.report.study_results import Run
from kochat.report.study_view import StageView, StudyView
from kochat.report.words import Texts


@dataclass(frozen=True)
class StageReport:
    """One stage of a study, and the report code of its package.

    Args:
        view: the input of its sections.
        known: its package may be imported; False for a stage of another package that was not named.
        module: the package's ``report`` module; None if it has none or is not known.
    """

    view: StageView
    known: bool
    module: ModuleType | None

    @property
    def runs(self) -> list[Run]:
        """The stage's finished runs that its chapter compares."""
        return self.view.runs

    def offers(self, name: str, default: Any = None) -> Any:
        """Return an attribute of the stage's ``report.py``, or the default."""
        return getattr(self.module, name, default)


def find_stage_reports(view: StudyView, stages: Mapping[str, Stage]) -> list[StageReport]:
    """Return the stages of a study in the report's order.

    Args:
        view: the study.
        stages: the stages whose packages may be imported, by name. A study's folder never decides which packages are imported.
    """
    found = []
    for entry in view.results.study.stages:
        stage = stages.get(entry.name)
        found.append(StageReport(StageView(view, entry), stage is not None, _report_module(stage)))
    return found


def check_stage_reports(lang: str, stages: Mapping[str, Stage]) -> None:
    """Import the report code of the stages and look for their texts, so that a fault is found before the training.

    Raises:
        UserError: `lang` is neither ko nor en, report code cannot be imported, or the text of a metric is missing.
    """
    texts = Texts(lang, [stage.package for stage in stages.values()])
    for stage in stages.values():
        for metric in getattr(_report_module(stage), "DEFINED", ()):
            texts(f"definition.{metric}")


def _report_module(stage: Stage | None) -> ModuleType | None:
    if stage is None or find_spec(f"{stage.package}.report") is None:
        return None
    try:
        return import_module(f"{stage.package}.report")
    except ImportError as error:
        raise UserError(f"{stage.package}.report cannot be imported: {error}; mend it and start again") from error

"""The report's chapter on how to repeat a study: settings and command of each run, and the data files."""

from __future__ import annotations

from collections.abc import Sequence

from kochat.report.document import Block, Cell, Paragraph, Section, Table
from kochat.report.run_labels import stage_word
from kochat.report.section_parts import present
from kochat.report.study_files import RunEntry
from kochat.report.study_view import StudyView
from kochat.report.words import NOTHING, count, factor_value

_DIGITS = 16  # of a SHA-256 that are shown


def repeat_chapter(view: StudyView) -> list[Section]:
    """Return the chapter; empty for a study that an earlier version wrote."""
    texts, entries = view.texts, view.results.study.runs
    if not any(entry.settings for entry in entries):
        return []
    by_stage = {stage: [entry for entry in entries if entry.stage == stage] for stage in view.results.stages}
    blocks = present(
        Paragraph(texts("repeat.what")),
        *(table for stage, runs in by_stage.items() for table in _settings_tables(view, stage, runs)),
        _commands(view, entries),
        files_table(view),
        Paragraph(
            texts("repeat.licence_embedded" if view.results.study.data.embedded else "repeat.licence_own"), note=True
        ),
    )
    return [Section("repeat", texts("section.repeat"), blocks)]


def _settings_tables(view: StudyView, stage: str, runs: Sequence[RunEntry]) -> list[Block | None]:
    """Return the settings that all runs of a stage share, and those in which they differ."""
    texts, word = view.texts, stage_word(stage, view.texts)
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    values = {key: [run.settings.get(key) for run in runs] for key in keys}
    shared = [[Cell(key), Cell(factor_value(found[0]))] for key, found in values.items() if _equal(found)]
    differing = [
        [Cell(key), *(Cell(factor_value(value)) for value in found)]
        for key, found in values.items()
        if not _equal(found)
    ]
    names = [texts("column.setting"), *(run.name for run in runs)]
    header = [texts("column.setting"), texts("column.value")]
    return [
        Table(texts("caption.settings", stage=word), header, shared, text_columns=2) if shared else None,
        Table(texts("caption.settings_apart", stage=word), names, differing) if differing else None,
    ]


def _equal(values: Sequence[object]) -> bool:
    return all(value == values[0] for value in values)


def _commands(view: StudyView, entries: Sequence[RunEntry]) -> Table:
    rows = [[Cell(entry.name), Cell(entry.command)] for entry in entries]
    header = [view.texts("column.run"), view.texts("column.command")]
    return Table(view.texts("caption.commands"), header, rows, text_columns=2)


def files_table(view: StudyView) -> Table | None:
    """Return a table of the data files; None where the study recorded none."""
    texts = view.texts
    rows = [
        [
            Cell(file.name),
            Cell(NOTHING if file.rows is None else count(file.rows)),
            Cell(count(file.size)),
            Cell(file.sha256[:_DIGITS]),
        ]
        for file in view.results.study.data.files
    ]
    header = [texts(f"column.{name}") for name in ("file", "rows", "bytes", "digest")]
    return Table(texts("caption.files"), header, rows) if rows else None

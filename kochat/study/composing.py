"""Compose a study's report from the general chapters and those of its stages, and write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kochat.engine.stage import Stage
from kochat.report.document import Block, Document, Paragraph, Section
from kochat.report.rendering import write_document
from kochat.report.section_parts import chapter, part, titled
from kochat.report.study_results import DATA, read_study
from kochat.report.study_view import Contrast, StudyView, view_study
from kochat.report.tables import FACTS, SCORES, differences_table, variants_table
from kochat.report.words import Texts
from kochat.study import chapters
from kochat.study.rejudging import with_current_verdicts
from kochat.study.settings_chapter import repeat_chapter
from kochat.study.stage_reports import StageReport, find_stage_reports

_LABELS = ("contents", "reference", "answer", "verdict", "variant", "no_answer")


def write_report(folder: Path, lang: str, stages: Mapping[str, Stage]) -> Path:
    """Write a study's report into its folder.

    Args:
        folder: the study's folder, which holds ``study.json``.
        lang: ko or en.
        stages: the stages whose words and sections are used, by name.

    Answers that an earlier judge judged are judged again (:mod:`kochat.study.rejudging`).

    Returns:
        The path of ``report.html``, or of ``report.en.html``.

    Raises:
        UserError: The folder is not a study, a file in it is broken, or ``lang`` is neither ko nor en.
    """
    packages = [stage.package for stage in stages.values()]
    texts = Texts(lang, packages)
    view = view_study(with_current_verdicts(read_study(folder)), texts)
    return write_document(make_document(view, find_stage_reports(view, stages)), folder)


def make_document(view: StudyView, reports: Sequence[StageReport]) -> Document:
    """Compose the whole report of a study; a section with missing runs says so."""
    texts, study = view.texts, view.results.study
    parts = [
        chapters.overview(view, reports),
        *chapters.data(view),
        *(section for report in reports for section in stage_chapter(report)),
        *chapters.chains(view),
        *chapters.weights(view),
        chapters.limits(view, reports),
        *repeat_chapter(view),
        chapters.definitions(view, reports),
    ]
    return Document(
        lang=texts.lang,
        title=texts("title", name=study.name),
        subtitle=texts("subtitle", created=study.created[:16].replace("T", " "), runs=len(view.results.runs)),
        labels={label: texts(f"word.{label}") for label in _LABELS},
        parts=parts,
    )


def stage_chapter(report: StageReport) -> list[Section]:
    """Return a stage's chapter and its paired differences; a plain chapter if the stage's package was not named."""
    sections = report.offers("sections")
    if sections is not None:
        own = list(sections(report.view))
    elif report.known and not report.view.study.varied(stage=report.view.stage.name):
        own = []  # a stage without a section, such as the baseline, appears in the chains
    else:
        own = [_plain_chapter(report)]
    return own + _differences(report)


def _plain_chapter(report: StageReport) -> Section:
    """Show the scores of a stage without a section, and say which command adds the section."""
    view, study = report.view, report.view.study
    words = {"folder": study.results.folder, "package": view.stage.package}
    hint = view.texts("stage_no_section" if report.known else "stage_without_section", **words)
    metrics = ("trainable", "seconds", "val_loss", *SCORES, "reward", *FACTS)
    table = variants_table(study, titled(view, "caption"), view.runs, metrics)
    return chapter(view, [Paragraph(hint), table])


def _differences(report: StageReport) -> list[Section]:
    """Show the paired differences of a stage's contrasts, except those of the data, which have their own chapter."""
    view = report.view
    blocks: list[Block | None] = []
    for contrast in view.study.varied(stage=view.stage.name):
        if contrast.entry.vary != DATA:
            blocks += _difference_tables(report, contrast)
    return part(view, f"{view.stage.name}_differences", "section.differences", blocks)


def _difference_tables(report: StageReport, contrast: Contrast) -> list[Block | None]:
    view, texts = report.view, report.view.texts
    factor = texts.named("factor_name", contrast.entry.vary or "")
    caption = contrast.entry.name or texts("caption.vary", stage=view.word, factor=factor)
    table = differences_table(view.study, caption, view.study.arm_pairs([contrast]))
    shown: list[Block | None] = [table] if table else []
    if shown and contrast.entry.tied:
        names = ", ".join(texts.named("factor_name", name) for name in contrast.entry.tied)
        shown.append(Paragraph(texts("note.tied", factors=names, factor=factor), note=True))
    return shown

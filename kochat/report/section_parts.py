"""Build parts of a report's sections: titled parts, figures with captions, notes, the sentence for missing runs."""

from __future__ import annotations

from collections.abc import Sequence

from kochat.report.answer_panels import side_by_side
from kochat.report.document import Block, Figure, Paragraph, Section
from kochat.report.study_results import Run
from kochat.report.study_view import StageView, StudyView
from kochat.report.words import Texts


def chapter(view: StageView, blocks: Sequence[Block | None]) -> Section:
    """Make a stage's chapter; its title names the stage and the factors that its runs differ in."""
    return Section(view.stage.name, titled(view, "section"), present(*blocks))


def titled(view: StageView, group: str) -> str:
    """Return the title or caption `GROUP.stage_by`, or `GROUP.stage` where nothing varies among the stage's runs."""
    if not view.compared_by:
        return view.texts(f"{group}.stage", stage=view.word)
    return view.texts(f"{group}.stage_by", stage=view.word, factors=view.compared_by)


def part(view: StageView | StudyView, anchor: str, title: str, blocks: Sequence[Block | None]) -> list[Section]:
    """Make a section of a chapter; ``title`` is the key of its title; empty if all blocks are missing."""
    found = present(*blocks)
    return [Section(anchor, view.texts(title), found, level=3)] if found else []


def answers(view: StageView, runs: Sequence[Run]) -> list[Section]:
    """Make the section of a stage's chapter that shows the answers of runs side by side."""
    block = side_by_side(view.study, view.texts("caption.answers"), runs)
    return part(view, f"{view.stage.name}_answers", "section.answers", [block])


def figure(texts: Texts, name: str, svg: str | None) -> Figure | None:
    """Join a plot with its caption, the text `plot.NAME`; None if there is no plot."""
    return Figure(name, svg, texts(f"plot.{name}")) if svg else None


def note(texts: Texts, key: str) -> Paragraph:
    """Make a note, a paragraph in small print."""
    return Paragraph(texts(key), note=True)


def missing(texts: Texts) -> Paragraph:
    """Return the sentence that the runs of a section are not finished."""
    return Paragraph(texts("section_missing"))


def present(*blocks: Block | None) -> list[Block]:
    """Return the blocks that are not None."""
    return [block for block in blocks if block is not None]

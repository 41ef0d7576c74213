"""The report's blocks on data cleaning: rows that each rule removed or changed, and how much planted dirt was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kochat.report.document import Block, Cell, Paragraph, Table
from kochat.report.study_files import CleaningSummary
from kochat.report.study_view import StudyView
from kochat.report.words import NOTHING, Texts, count


def cleaning_blocks(view: StudyView) -> list[Block]:
    """Return the tables of a study's cleaning; one sentence if there is no record of it."""
    results, texts = view.results, view.texts
    blocks: list[Block | None] = []
    if results.cleaning is None:
        blocks.append(Paragraph(texts("data.no_summary")))
    else:
        blocks += [files_table(results.cleaning, texts), rules_table(results.cleaning, texts)]
    if results.study.data.dirt_scores:
        blocks += [Paragraph(texts("data.dirt")), dirt_table(results.study.data.dirt_scores, texts)]
    return [block for block in blocks if block is not None]


def files_table(summary: CleaningSummary, texts: Texts) -> Table:
    """Return a table of the rows of each file before and after cleaning."""
    header = [texts(f"column.{name}") for name in ("file", "before", "changed", "removed", "after")]
    rows = [
        [Cell(name), *(Cell(count(n)) for n in (counts.read, counts.changed, counts.removed, counts.kept))]
        for name, counts in summary.files.items()
    ]
    return Table(texts("caption.cleaning"), header, rows)


def rules_table(summary: CleaningSummary, texts: Texts) -> Table | None:
    """Return a table with one row per rule and action and one column per file; None if no rule did anything."""
    rows = []
    for action, field in (("changed", "changed_by"), ("removed", "removed_by")):
        by_file: list[Mapping[str, int]] = [getattr(counts, field) for counts in summary.files.values()]
        for rule in dict.fromkeys(rule for counts in by_file for rule in counts):
            found = [counts.get(rule, 0) for counts in by_file]
            rows.append(
                [
                    Cell(texts(f"action.{action}")),
                    Cell(rule_name(rule, texts)),
                    *(Cell(count(n)) for n in [*found, sum(found)]),
                ]
            )
    header = [texts("column.action"), texts("column.rule"), *summary.files, texts("column.total")]
    return Table(texts("caption.rules"), header, rows, text_columns=2) if rows else None


def dirt_table(scores: Mapping[str, Mapping[str, Any]], texts: Texts) -> Table:
    """Return a table of recall and precision on planted dirt; ``scores`` is {kind: {quantity: number}}, `all` means all kinds."""
    quantities = list(dict.fromkeys(name for values in scores.values() for name in values))
    rows = [
        [Cell(rule_name(kind, texts)), *(Cell(_plain(values.get(name))) for name in quantities)]
        for kind, values in scores.items()
    ]
    header = [texts("column.dirt"), *(texts.named("dirt", name) for name in quantities)]
    return Table(texts("caption.dirt"), header, rows)


def rule_name(rule: str, texts: Texts) -> str:
    """Return the name of a cleaning rule in the report, or its id if it has no name."""
    return texts.named("rule", rule)


def _plain(value: Any) -> str:
    """Format a count as an integer and a share as a percentage."""
    if isinstance(value, float):
        return f"{100 * value:.1f}%"
    return NOTHING if value is None else count(value) if isinstance(value, int) else str(value)

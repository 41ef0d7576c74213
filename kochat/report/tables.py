"""The report's tables, each a function from a study's view to a `Table`, or None if there is nothing to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kochat.report.document import Cell, Table
from kochat.report.run_labels import stage_word
from kochat.report.study_results import Run
from kochat.report.study_view import Contrast, StudyView
from kochat.report.variant_records import SHARES
from kochat.report.words import NOTHING, Texts, count, factor_value

SCORES = ("bleu", "rouge_l", "chrf")
LEGACY = ("legacy_bleu", "legacy_rouge_l")
FACTS = tuple(SHARES)
_CONTRASTED = (*SCORES, "reward", *FACTS)


def runs_table(view: StudyView) -> Table:
    """Return a table of all runs of the study, including missing ones: factors, size and time."""
    texts, study = view.texts, view.results.study
    factors = [name for name in study.factors if any(entry.factors.get(name) is not None for entry in study.runs)]
    rows = []
    for entry in study.runs:
        run = view.results.runs.get(entry.name)
        rows.append(
            [
                Cell(entry.name),
                Cell(stage_word(entry.stage, texts)),
                *(Cell(factor_value(entry.factors.get(name)), entry.name, f"factor:{name}") for name in factors),
                Cell(count(run.done.parameters.trainable) if run else NOTHING, entry.name, "trainable"),
                Cell(texts.duration(run.done.seconds) if run else NOTHING, entry.name, "seconds"),
                Cell(texts("state.finished" if run else "state.missing")),
            ]
        )
    header = [
        *_header(texts, "run", "stage"),
        *(texts.named("column", name) for name in factors),
        *_header(texts, "trainable", "seconds", "state"),
    ]
    return Table(texts("caption.runs"), header, rows, text_columns=2)


def pairs_table(caption: str, header: Sequence[str], pairs: dict[str, Any]) -> Table | None:
    """Return a two-column table of a flat mapping; None if it is empty."""
    rows = [[Cell(str(key)), Cell(_plain(value))] for key, value in pairs.items()]
    return Table(caption, header, rows) if rows else None


def variants_table(view: StudyView, caption: str, runs: Sequence[Run], metrics: Sequence[str]) -> Table | None:
    """Return a table with one row per run that answers and one column per metric; metrics without values are left out."""
    shown = [metric for metric in metrics if any(variant_text(view, run, metric) != NOTHING for run in runs)]
    if not runs or not shown:
        return None
    rows = [[Cell(view.label(run)), *(Cell(variant_text(view, run, m), run.name, m) for m in shown)] for run in runs]
    return Table(caption, [view.texts("column.variant"), *map(view.texts.metric, shown)], rows)


def variant_text(view: StudyView, run: Run, metric: str) -> str:
    """Format one number of a run; all tables use this function."""
    if metric == "trainable":
        return count(run.done.parameters.trainable)
    if metric == "seconds":
        return view.texts.duration(run.done.seconds)
    if metric == "val_loss":
        return view.texts.number(metric, run.last(f"{run.stage}/val_loss"))
    record = view.records.get(run.name)
    return NOTHING if record is None else view.texts.number(metric, record.get(metric))


def versions_table(view: StudyView, contrasts: Sequence[Contrast]) -> Table | None:
    """Return a table that compares two data versions metric by metric, with the paired difference if it has an interval."""
    rows = []
    for new, old in (pair for contrast in contrasts for pair in contrast.pairs if pair[0].name in view.records):
        for metric in (*SCORES, *LEGACY, "reward", *FACTS):
            before, after = (variant_text(view, run, metric) for run in (old, new))
            if (before, after) != (NOTHING, NOTHING):
                cells = [Cell(before, old.name, metric), Cell(after, new.name, metric)]
                difference = difference_cell(view, new, old, metric)
                rows.append([Cell(view.label(new)), Cell(view.texts.metric(metric)), *cells, difference])
    versions = _versions(contrasts)
    names = [version or view.texts("column.before_after") for version in versions]
    change = view.texts("column.change", old=names[0], new=names[1])
    header = [*_header(view.texts, "variant", "metric"), *names, change]
    return Table(view.texts("caption.versions"), header, rows, text_columns=2) if rows else None


def budget_table(view: StudyView, contrasts: Sequence[Contrast], factor: str) -> Table | None:
    """Return a table of the training length of the contrasts' runs: optimizer steps, tokens read, seed."""
    rows = []
    for run in (run for contrast in contrasts for group in contrast.groups for run in group):
        seed = NOTHING if run.done.seed is None else str(run.done.seed)
        numbers = [NOTHING if n is None else count(n) for n in (run.done.steps, run.done.tokens)]
        value = factor_value(run.entry.factors.get(factor))
        rows.append([Cell(view.label(run)), Cell(value), *map(Cell, numbers), Cell(seed)])
    header = _header(view.texts, "variant", factor, "steps", "tokens", "seed")
    return Table(view.texts("caption.budget"), header, rows, text_columns=2) if rows else None


def difference_cell(view: StudyView, run: Run, against: Run, metric: str) -> Cell:
    """Format the paired difference of two runs with its 95% interval; a dash if it was not measured."""
    interval = view.records[run.name].difference(view.records[against.name], metric)
    return Cell(NOTHING if interval is None else view.texts.interval(metric, interval, signed=True))


def differences_table(view: StudyView, caption: str, pairs: Sequence[tuple[Run, Run]]) -> Table | None:
    """Return a table of paired differences with 95% intervals, one column per (run, against) pair."""
    known = [(run, against) for run, against in pairs if {run.name, against.name} <= view.records.keys()]
    rows = []
    for metric in _CONTRASTED:
        cells = [difference_cell(view, run, against, metric) for run, against in known]
        if any(cell.text != NOTHING for cell in cells):
            rows.append([Cell(view.texts.metric(metric)), *cells])
    names = [view.texts("contrast", a=view.label(run), b=view.label(against)) for run, against in known]
    return Table(caption, [view.texts("column.metric"), *names], rows) if rows else None


def kinds_table(view: StudyView, runs: Sequence[Run]) -> Table | None:
    """Return a table of the scores of runs by kind of test prompt."""
    metrics = (*SCORES, "reward", *FACTS)
    texts, records = view.texts, view.records
    rows = []
    for kind in dict.fromkeys(kind for run in runs for kind in records[run.name].by_kind):
        for run in runs:
            part = records[run.name].by_kind.get(kind)
            if part is not None:
                cells = [Cell(texts.number(m, part.values.get(m)), run.name, f"{m}@{kind}") for m in metrics]
                rows.append([Cell(texts.kind(kind)), Cell(view.label(run)), Cell(count(part.n)), *cells])
    header = [*_header(texts, "kind", "variant", "n"), *map(texts.metric, metrics)]
    return Table(texts("caption.kinds"), header, rows, text_columns=2) if rows else None


def _versions(contrasts: Sequence[Contrast]) -> list[str]:
    """Return the two values that all pairs of the contrasts compare, (old, new); empty strings if pairs differ."""
    found = {
        tuple(factor_value(run.entry.factors.get(contrast.entry.vary or "")) for run in (old, new))
        for contrast in contrasts
        for new, old in contrast.pairs
    }
    return list(found.pop()) if len(found) == 1 else ["", ""]


def _header(texts: Texts, *columns: str) -> list[str]:
    return [texts.named("column", column) for column in columns]


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return NOTHING if value is None else str(value).lower()
    if isinstance(value, int):
        return count(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)

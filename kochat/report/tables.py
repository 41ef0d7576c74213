"""The report's tables, each a function from results to a `Table`, or None where there is nothing to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kochat.report.document import Cell, Table
from kochat.report.study_results import Run, StudyResults
from kochat.report.variant_records import Records
from kochat.report.words import NOTHING, Texts, count

SCORES = ("bleu", "rouge_l", "chrf")
LEGACY = ("legacy_bleu", "legacy_rouge_l")
FACTS = ("accuracy", "hallucination")
_CONTRASTED = (*SCORES, "reward", *FACTS)


def runs_table(results: StudyResults, texts: Texts) -> Table:
    """List every run of the study, missing ones included, with its settings, size, time and seed."""
    rows = []
    for entry in results.study.runs:
        run = results.runs.get(entry.name)
        rows.append(
            [
                Cell(entry.name),
                Cell(texts(f"stage.{entry.stage}")),
                Cell(entry.version),
                Cell(NOTHING if entry.lora_rank is None else str(entry.lora_rank)),
                Cell(NOTHING if entry.kl_coef is None else f"{entry.kl_coef:g}"),
                Cell(count(run.done.parameters.trainable) if run else NOTHING, entry.name, "trainable"),
                Cell(texts.duration(run.done.seconds) if run else NOTHING, entry.name, "seconds"),
                Cell(NOTHING if run is None or run.seed is None else str(run.seed)),
                Cell(texts("state.finished" if run else "state.missing")),
            ]
        )
    header = _header(texts, "run", "stage", "version", "rank", "kl_coef", "trainable", "seconds", "seed", "state")
    return Table(texts("caption.runs"), header, rows, text_columns=3)


def pairs_table(caption: str, header: Sequence[str], pairs: dict[str, Any]) -> Table | None:
    """Show a flat mapping as a two-column table; None for an empty one."""
    rows = [[Cell(str(key)), Cell(_plain(value))] for key, value in pairs.items()]
    return Table(caption, header, rows) if rows else None


def variants_table(
    caption: str, runs: Sequence[Run], metrics: Sequence[str], records: Records, texts: Texts
) -> Table | None:
    """Show one row per answering run and one column per metric; metrics that no run has are left out."""
    shown = [metric for metric in metrics if any(variant_text(run, metric, records, texts) != NOTHING for run in runs)]
    if not runs or not shown:
        return None
    rows = [
        [Cell(texts.label(run)), *(Cell(variant_text(run, m, records, texts), run.name, m) for m in shown)]
        for run in runs
    ]
    return Table(caption, [texts("column.variant"), *map(texts.metric, shown)], rows)


def variant_text(run: Run, metric: str, records: Records, texts: Texts) -> str:
    """Write one number of an answering run: the only place where tables get it from."""
    if metric == "trainable":
        return count(run.done.parameters.trainable)
    if metric == "seconds":
        return texts.duration(run.done.seconds)
    if metric == "val_loss":
        return texts.number(metric, run.last(f"{run.entry.stage}/val_loss"))
    return texts.number(metric, records.variants[run.name].get(metric))


def versions_table(results: StudyResults, records: Records, texts: Texts) -> Table | None:
    """Compare v1 with v2 for SFT and PPO, metric by metric, with the paired difference where it has an interval."""
    rows = []
    for old, new in [*results.version_pairs("sft"), *results.version_pairs("ppo")]:
        for metric in (*SCORES, *LEGACY, "reward", *FACTS):
            before, after = (variant_text(run, metric, records, texts) for run in (old, new))
            if (before, after) != (NOTHING, NOTHING):
                cells = [Cell(before, old.name, metric), Cell(after, new.name, metric)]
                rows.append(
                    [
                        Cell(texts.label(new)),
                        Cell(texts.metric(metric)),
                        *cells,
                        difference_cell(new, old, metric, records, texts),
                    ]
                )
    header = [*_header(texts, "variant", "metric"), "v1", "v2", texts("column.difference")]
    return Table(texts("caption.versions"), header, rows, text_columns=2) if rows else None


def budget_table(results: StudyResults, texts: Texts) -> Table | None:
    """Show how long the runs of each v1-v2 pair were trained: optimizer steps, tokens seen, seed."""
    pairs = [pair for stage in ("sft", "rm", "ppo") for pair in results.version_pairs(stage)]
    rows = []
    for run in (run for pair in pairs for run in pair):
        seed = NOTHING if run.seed is None else str(run.seed)
        numbers = [NOTHING if n is None else count(n) for n in (run.done.steps, run.done.tokens)]
        rows.append([Cell(texts.label(run)), Cell(run.entry.version), *map(Cell, numbers), Cell(seed)])
    header = _header(texts, "variant", "version", "steps", "tokens", "seed")
    return Table(texts("caption.budget"), header, rows, text_columns=2) if rows else None


def difference_cell(run: Run, against: Run, metric: str, records: Records, texts: Texts) -> Cell:
    """Write the paired difference of two runs with its 95% interval, a dash where it was not measured."""
    interval = records.variants[run.name].difference(records.variants[against.name], metric)
    return Cell(NOTHING if interval is None else texts.interval(metric, interval, signed=True))


def differences_table(contrasts: Sequence[tuple[Run, Run]], records: Records, texts: Texts) -> Table | None:
    """Show paired differences of the headline contrasts with their 95% intervals."""
    rows = []
    for metric in _CONTRASTED:
        cells = [difference_cell(run, against, metric, records, texts) for run, against in contrasts]
        if any(cell.text != NOTHING for cell in cells):
            rows.append([Cell(texts.metric(metric)), *cells])
    names = [texts("contrast", a=texts.label(run), b=texts.label(against)) for run, against in contrasts]
    return Table(texts("caption.differences"), [texts("column.metric"), *names], rows) if rows else None


def kinds_table(runs: Sequence[Run], records: Records, texts: Texts) -> Table | None:
    """Show the final metrics by kind of test prompt."""
    metrics = (*SCORES, "reward", *FACTS)
    rows = []
    for kind in dict.fromkeys(kind for run in runs for kind in records.variants[run.name].by_kind):
        for run in runs:
            part = records.variants[run.name].by_kind.get(kind)
            if part is not None:
                cells = [Cell(texts.number(m, part.values.get(m)), run.name, f"{m}@{kind}") for m in metrics]
                rows.append([Cell(texts.kind(kind)), Cell(texts.label(run)), Cell(count(part.n)), *cells])
    header = [*_header(texts, "kind", "variant", "n"), *map(texts.metric, metrics)]
    return Table(texts("caption.kinds"), header, rows, text_columns=2) if rows else None


def _header(texts: Texts, *columns: str) -> list[str]:
    return [texts(f"column.{column}") for column in columns]


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return NOTHING if value is None else str(value).lower()
    if isinstance(value, int):
        return count(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)

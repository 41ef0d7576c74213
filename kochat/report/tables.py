"""The report's tables, each a function from a study's view to a `Table`, or None if there is nothing to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kochat.report import win_rates
from kochat.report.arms import Arm, single
from kochat.report.document import Cell, Table
from kochat.report.run_labels import stage_word
from kochat.report.shuffled_references import chance_floor
from kochat.report.study_results import Run
from kochat.report.study_view import Contrast, StudyView
from kochat.report.variant_records import SHARES
from kochat.report.words import NOTHING, Texts, count, factor_value, p_text
from kochat.statistics.differences import is_clear

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
                Cell(_throughput(run), entry.name, "throughput"),
                Cell(texts("state.finished" if run else "state.missing")),
            ]
        )
    header = [
        *_header(texts, "run", "stage"),
        *(texts.named("column", name) for name in factors),
        *_header(texts, "trainable", "seconds", "throughput", "state"),
    ]
    return Table(texts("caption.runs"), header, rows, text_columns=2)


def _throughput(run: Run | None) -> str:
    """Return the tokens that a run read in training over its seconds, evaluation included."""
    done = run.done if run else None
    return count(round(done.tokens / done.seconds)) if done and done.tokens and done.seconds else NOTHING


def changes_table(view: StudyView) -> Table | None:
    """Return a table of what each run changed in the weights of its base, and at what cost; None where the study recorded nothing."""
    texts = view.texts
    changed = [(run, change) for run in view.results.runs.values() if (change := run.entry.change) is not None]
    rows = []
    for run, change in changed:
        done = run.done
        share = (
            done.parameters.trainable / done.parameters.total
            if done.parameters.trainable and done.parameters.total
            else None
        )
        numbers = [
            NOTHING if share is None else f"{100 * share:.2f}%",
            NOTHING if change.relative is None else f"{100 * change.relative:.2f}%",
            NOTHING if change.effective_rank is None else f"{change.effective_rank:.1f}",
            texts.duration(done.seconds),
            count(round(max(done.peak_memory_mib.values()))) if done.peak_memory_mib else NOTHING,
        ]
        places = f"{', '.join(change.kinds)} ({change.matrices})"
        rows.append([Cell(view.label(run)), Cell(places), *map(Cell, numbers)])
    header = _header(
        texts, "variant", "where", "trained_share", "relative_norm", "effective_rank", "seconds", "peak_memory"
    )
    return Table(texts("caption.changes"), header, rows, text_columns=2) if rows else None


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
                difference = difference_cell(view, single(new), single(old), metric)
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


def difference_cell(view: StudyView, ours: Arm, theirs: Arm, metric: str) -> Cell:
    """Format the paired difference of two arms with its 95% interval; a dash if it was not measured."""
    found = view.difference(ours, theirs, metric)
    return Cell(NOTHING if found is None else view.texts.interval(metric, found.interval, signed=True))


def differences_table(view: StudyView, caption: str, pairs: Sequence[tuple[Arm, Arm]]) -> Table | None:
    """Return a table of paired differences with 95% intervals, one column per (arm, against) pair."""
    rows = []
    for metric in _CONTRASTED:
        cells = [difference_cell(view, ours, theirs, metric) for ours, theirs in pairs]
        if any(cell.text != NOTHING for cell in cells):
            rows.append([Cell(view.texts.metric(metric)), *cells])
    names = [view.texts("contrast", a=view.arm_label(ours), b=view.arm_label(theirs)) for ours, theirs in pairs]
    return Table(caption, [view.texts("column.metric"), *names], rows) if rows else None


def primary_table(view: StudyView) -> Table | None:
    """Return a table of the tests that the study was made for, with corrected p-values; None if it names none."""
    texts, rows = view.texts, []
    for test in view.primary:
        difference, metric = test.difference, test.metric
        names = texts("contrast", a=view.arm_label(test.ours), b=view.arm_label(test.theirs))
        least = texts.number(metric, difference.estimate.detectable, signed=True).lstrip("+")
        numbers = [
            texts.interval(metric, difference.interval, signed=True),
            _p_cell(difference.p_value),
            _p_cell(test.p_value),
        ]
        said = Cell(texts("test.clear" if is_clear(difference, test.p_value) else "test.unclear"))
        rows.append([Cell(names), Cell(texts.metric(metric)), *map(Cell, numbers), Cell(least), said])
    header = _header(texts, "contrast", "metric", "difference", "p", "p_corrected", "detectable", "result")
    return Table(texts("caption.primary"), header, rows, text_columns=2) if rows else None


def _p_cell(p_value: float) -> str:
    """Return a p-value without the sign of equality that it has in a sentence."""
    return p_text(p_value).removeprefix("= ")


def arms_table(view: StudyView, caption: str, arms: Sequence[Arm], metrics: Sequence[str]) -> Table | None:
    """Return a table with one row per arm, means over its seeds; metrics without values are left out."""
    shown = [metric for metric in metrics if any(view.value(arm, metric) is not None for arm in arms)]
    if not arms or not shown:
        return None
    rows = [[Cell(view.arm_label(arm)), *(_arm_cell(view, arm, metric) for metric in shown)] for arm in arms]
    return Table(caption, [view.texts("column.variant"), *map(view.texts.metric, shown)], rows)


def win_rates_table(view: StudyView, pairs: Sequence[tuple[Run, Run]]) -> Table | None:
    """Return a table of win rates, one row a pair of runs and judge; None without a judge."""
    texts, rows = view.texts, []
    for ours, theirs in pairs:
        judges = {
            "reward": win_rates.by_reward(ours, theirs),
            "facts": win_rates.by_facts(ours, theirs),
            "endpoint": win_rates.by_endpoint(view.results.folder, ours, theirs),
        }
        for judge, found in judges.items():
            if found.rate is not None:
                counts = [Cell(count(number)) for number in (found.wins, found.ties, found.losses)]
                rate = Cell(texts.interval("accuracy", found.rate))
                names = texts("duel", a=view.label(ours), b=view.label(theirs))
                rows.append([Cell(names), Cell(texts(f"judge.{judge}")), *counts, rate])
    header = _header(texts, "contrast", "judge", "wins", "ties", "losses", "win_rate")
    return Table(texts("caption.win_rates"), header, rows, text_columns=2) if rows else None


def floor_table(view: StudyView, arms: Sequence[Arm]) -> Table | None:
    """Return a table of text scores beside their chance floor, one row an arm and metric; None without references."""
    texts, rows = view.texts, []
    for arm in arms:
        floor = chance_floor(arm.first.test_answers, SCORES)
        for metric, value in floor.items():
            numbers = [texts.number(metric, view.value(arm, metric)), texts.number(metric, value)]
            rows.append([Cell(view.arm_label(arm)), Cell(texts.metric(metric)), *map(Cell, numbers)])
    header = _header(texts, "variant", "metric", "score", "floor")
    return Table(texts("caption.floor"), header, rows, text_columns=2) if rows else None


def _arm_cell(view: StudyView, arm: Arm, metric: str) -> Cell:
    """Return a cell; that of a single run is marked as the run's number, which is the same in every table."""
    text = view.texts.number(metric, view.value(arm, metric))
    return Cell(text, arm.first.name, metric) if len(set(arm.names)) == 1 else Cell(text)


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

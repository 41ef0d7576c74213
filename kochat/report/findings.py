"""Make sentences about runs from their numbers.

A value is called higher or lower only if the paired 95% bootstrap interval of the difference excludes zero. A sentence
without its numbers is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from kochat.metrics.intervals import Interval
from kochat.report.study_results import Run
from kochat.report.study_view import Contrast, StudyView

Finding = tuple[str, list[str]]  # heading, sentences


def compare(view: StudyView, run: Run, against: Run, metric: str) -> str:
    """Return a sentence: is `run` higher or lower than `against` on a metric, or is it not clear; empty if unmeasured."""
    texts, records = view.texts, view.records
    if not {run.name, against.name} <= records.keys():
        return ""
    ours, theirs = records[run.name], records[against.name]
    interval = ours.difference(theirs, metric)
    if interval is None:
        return ""
    verdict = "unclear" if not interval.excludes_zero else "higher" if interval.value > 0 else "lower"
    return texts(
        f"compare.{verdict}",
        metric=texts.metric(metric),
        a=view.label(run),
        b=view.label(against),
        va=texts.number(metric, ours.get(metric)),
        vb=texts.number(metric, theirs.get(metric)),
        difference=texts.interval(metric, interval, signed=True),
    )


def lowest_loss(view: StudyView, runs: Sequence[Run]) -> str:
    """Return a sentence: which run has the lowest last validation loss; empty if fewer than two runs logged it."""
    losses = {run.name: loss for run in runs if (loss := run.last(f"{run.stage}/val_loss")) is not None}
    if len(losses) < 2:
        return ""
    best = min((run for run in runs if run.name in losses), key=lambda run: losses[run.name])
    value = view.texts.number("val_loss", losses[best.name])
    return view.texts("finding.lowest_loss", a=view.label(best), value=value)


def course(view: StudyView, chain: Contrast, metric: str) -> str:
    """Return a sentence: does a metric rise at every step of a chain; empty if runs or numbers are missing."""
    pairs = [pair for pair in chain.pairs if {run.name for run in pair} <= view.records.keys()]
    if len(pairs) < len(chain.entry.chain) - 1 or len(pairs) < 2:
        return ""
    rises = [view.records[later.name].difference(view.records[earlier.name], metric) for later, earlier in pairs]
    if None in rises:
        return ""
    texts, runs = view.texts, chain.groups[0]
    values = " → ".join(texts.number(metric, view.records[run.name].get(metric)) for run in runs)
    names = " → ".join(view.label(run) for run in runs)
    return texts(_course(rises), metric=texts.metric(metric), names=names, chain=values)  # type: ignore[arg-type]


def _course(rises: list[Interval]) -> str:
    """Return the key of the text for a chain of differences: all clearly up, all up but not all clearly, or not all up."""
    if all(rise.low > 0 for rise in rises):
        return "finding.rises"
    return "finding.rises_unclear" if all(rise.value > 0 for rise in rises) else "finding.rises_not"

"""Make sentences about the arms of a study from their numbers.

A value is called higher or lower only if the 95% interval of the difference excludes zero and the p-value is below 0.05; the p-value of
a primary test is corrected for their number. A sentence without its numbers is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kochat.report.arms import Arm
from kochat.report.study_results import Run
from kochat.report.study_view import StudyView
from kochat.report.words import p_text
from kochat.statistics.differences import is_clear


@dataclass(frozen=True)
class Sentence:
    """A sentence of the report. `clear` says whether it states a difference that an interval bears out; None: it compares by size alone."""

    text: str
    clear: bool | None = True


Finding = tuple[str, list[Sentence]]  # heading, sentences


def verdict(view: StudyView, ours: Arm, theirs: Arm, metric: str) -> str | None:
    """Return higher, lower or unclear; None if the metric was not measured."""
    difference, p_value = view.difference(ours, theirs, metric), view.p_value(ours, theirs, metric)
    if difference is None or p_value is None:
        return None
    if not is_clear(difference, p_value):
        return "unclear"
    return "higher" if difference.value > 0 else "lower"


def compare(view: StudyView, ours: Arm, theirs: Arm, metric: str) -> list[Sentence]:
    """Return a sentence: is `ours` higher or lower than `theirs` on a metric, or not distinguishable; none if unmeasured."""
    found, difference = verdict(view, ours, theirs, metric), view.difference(ours, theirs, metric)
    if found is None or difference is None:
        return []
    texts = view.texts
    alike = difference.estimate.error == 0 and difference.value == 0
    said = texts(
        "compare.same" if alike else f"compare.{found}",
        metric=texts.metric(metric),
        a=view.arm_label(ours),
        b=view.arm_label(theirs),
        va=texts.number(metric, view.value(ours, metric)),
        vb=texts.number(metric, view.value(theirs, metric)),
        difference=texts.interval(metric, difference.interval, signed=True),
        p=p_text(view.p_value(ours, theirs, metric)),
        least=texts.number(metric, difference.estimate.detectable, signed=True).lstrip("+"),
    )
    return [Sentence(said, found != "unclear")]


def lowest_loss(view: StudyView, runs: Sequence[Run]) -> list[Sentence]:
    """Return a sentence: which run has the lowest last validation loss; none if fewer than two runs logged it."""
    losses = {run.name: loss for run in runs if (loss := run.last(f"{run.stage}/val_loss")) is not None}
    if len(losses) < 2:
        return []
    best = min((run for run in runs if run.name in losses), key=lambda run: losses[run.name])
    value = view.texts.number("val_loss", losses[best.name])
    return [Sentence(view.texts("finding.lowest_loss", a=view.label(best), value=value), None)]


def course(view: StudyView, chain: Sequence[Arm], metric: str) -> list[Sentence]:
    """Return a sentence: does a metric rise at every step of a chain; none if it has under three arms or numbers are missing."""
    found = [verdict(view, later, earlier, metric) for earlier, later in pairwise(chain)]
    if len(found) < 2 or None in found:
        return []
    texts, numbers = view.texts, [view.value(arm, metric) for arm in chain]
    values = " → ".join(texts.number(metric, number) for number in numbers)
    names = " → ".join(view.arm_label(arm) for arm in chain)
    key = _course(found, [value or 0.0 for value in numbers])
    return [Sentence(texts(key, metric=texts.metric(metric), names=names, chain=values), key == "finding.rises")]


def _course(found: Sequence[str | None], numbers: Sequence[float]) -> str:
    """Return the key of the text for a chain of values: all clearly up, all up but not all clearly, or not all up."""
    if all(verdict == "higher" for verdict in found):
        return "finding.rises"
    rising = all(later > earlier for earlier, later in pairwise(numbers))
    return "finding.rises_unclear" if rising else "finding.rises_not"

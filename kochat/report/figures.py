"""The report's plots, each a function from results to SVG text, or None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from kochat.report.arms import Arm
from kochat.report.drawing import COLOURS, canvas, legend, to_svg
from kochat.report.study_results import Run, Series
from kochat.report.study_view import StudyView
from kochat.report.variant_records import SHARES

_VERDICT_COLOURS = dict(zip(SHARES.values(), ("#009e73", "#56b4e9", "#9aa5b1", "#d55e00", "#cc79a7"), strict=True))
_LINE_STYLES = ("-", "--", ":", "-.")
_SMOOTH_FROM = 40  # points; shorter curves are drawn as they are


def curves(
    view: StudyView, name: str, runs: Sequence[Run], metrics: Sequence[str], *, axis: str = "axis.step"
) -> str | None:
    """Draw one panel per metric and one line per run against Lightning's `step`; return SVG text.

    `step` counts training batches; `axis` is the key of the axis label: training step or rollout. Long curves show a
    running mean and a faint raw line.
    """
    drawn = [metric for metric in metrics if any(run.curve(metric) for run in runs)]
    if not drawn:
        return None
    with canvas(columns=len(drawn), height=3.3) as (figure, panels):
        for axes, metric in zip(panels, drawn, strict=True):
            for run, colour, style in zip(runs, colours(runs), line_styles(runs), strict=True):
                _line(axes, run.curve(metric), view.label(run), color=colour, linestyle=style)
            axes.set_title(view.texts.named("curve", metric))
            axes.set_xlabel(view.texts(axis))
        legend(figure, max(panels, key=lambda axes: len(axes.get_lines())))
        return to_svg(figure, name)


def verdicts(view: StudyView, name: str, arms: Sequence[Arm]) -> str | None:
    """Draw each arm's shares of verdicts on fact questions, means over its seeds, as one stacked bar; return SVG text."""
    texts = view.texts
    judged = [arm for arm in arms if view.value(arm, "accuracy") is not None]
    if not judged:
        return None
    with canvas(height=0.9 + 0.42 * len(judged)) as (figure, [axes]):
        left = np.zeros(len(judged))
        for share, verdict in SHARES.items():
            shares = np.array([100 * (view.value(arm, share) or 0.0) for arm in judged])
            axes.barh(
                range(len(judged)), shares, left=left, height=0.66, color=_VERDICT_COLOURS[verdict],
                label=texts.verdict(verdict),
            )  # fmt: skip
            left += shares
        axes.set_yticks(range(len(judged)), [view.arm_label(arm) for arm in judged])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 100)
        axes.set_xlabel(texts("axis.share"))
        legend(figure, axes)
        return to_svg(figure, name)


def colours(items: Sequence[object]) -> list[str]:
    """Return a colour for each item, the same order in every plot."""
    return [COLOURS[index % len(COLOURS)] for index in range(len(items))]


def line_styles(items: Sequence[object]) -> list[str]:
    """Return a line style for each item; it changes when the colours repeat."""
    return [_LINE_STYLES[index // len(COLOURS) % len(_LINE_STYLES)] for index in range(len(items))]


def _line(axes: Axes, series: Series, label: str, **style: Any) -> None:
    if not series:
        return
    x, y = np.asarray(series, dtype=float).T
    if len(y) < _SMOOTH_FROM:
        axes.plot(x, y, label=label, marker="o" if len(y) < 12 else None, markersize=4, **style)
        return
    axes.plot(x, y, alpha=0.22, linewidth=0.8, **style)
    axes.plot(x, _running_mean(y, len(y) // 20), label=label, **style)


def _running_mean(y: np.ndarray, width: int) -> np.ndarray:
    """Average each point with up to `width` neighbours on either side; shorter windows at the ends."""
    total = np.concatenate([[0.0], np.cumsum(y)])
    index = np.arange(len(y))
    low, high = np.maximum(index - width, 0), np.minimum(index + width + 1, len(y))
    return (total[high] - total[low]) / (high - low)

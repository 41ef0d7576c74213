"""The report's plots, each a function from results to SVG text, or None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from kochat.report.drawing import COLOURS, canvas, legend, to_svg
from kochat.report.study_results import Run, Series
from kochat.report.variant_records import VERDICTS, Records
from kochat.report.words import Texts

_VERDICT_COLOURS = dict(zip(VERDICTS, ("#009e73", "#9aa5b1", "#d55e00", "#cc79a7"), strict=True))
_NEUTRAL = "#7f8790"
_SMOOTH_FROM = 40  # points; shorter curves are drawn as they are


def curves(name: str, runs: Sequence[Run], metrics: Sequence[str], texts: Texts, axis: str = "axis.step") -> str | None:
    """Draw one panel per metric with one line per run over Lightning's `step`, which counts training batches.

    That is optimizer steps in SFT and reward modelling, rollouts in PPO (`axis` names which). Long curves are drawn as a
    running mean over a faint raw line.
    """
    drawn = [metric for metric in metrics if any(run.curve(metric) for run in runs)]
    if not drawn:
        return None
    with canvas(columns=len(drawn), height=3.3) as (figure, panels):
        for axes, metric in zip(panels, drawn, strict=True):
            for run, colour in zip(runs, _cycle(runs), strict=True):
                _line(axes, run.curve(metric), colour, texts.label(run))
            axes.set_title(texts(f"curve.{metric}"))
            axes.set_xlabel(texts(axis))
        legend(figure, max(panels, key=lambda axes: len(axes.get_lines())))
        return to_svg(figure, name)


def verdicts(name: str, runs: Sequence[Run], records: Records, texts: Texts) -> str | None:
    """Draw each variant's shares of verdicts on fact questions as one stacked bar."""
    judged = [run for run in runs if records.variants[run.name].whole.n_judged]
    if not judged:
        return None
    with canvas(height=0.9 + 0.42 * len(judged)) as (figure, [axes]):
        left = np.zeros(len(judged))
        for verdict in VERDICTS:
            found = [records.variants[run.name].whole for run in judged]
            shares = np.array([100 * part.verdicts[verdict] / part.n_judged for part in found])
            axes.barh(
                range(len(judged)), shares, left=left, height=0.66, color=_VERDICT_COLOURS[verdict],
                label=texts.verdict(verdict),
            )  # fmt: skip
            left += shares
        axes.set_yticks(range(len(judged)), [texts.label(run) for run in judged])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 100)
        axes.set_xlabel(texts("axis.share"))
        legend(figure, axes)
        return to_svg(figure, name)


def reward_against_kl(name: str, sft: Run | None, runs: Sequence[Run], records: Records, texts: Texts) -> str | None:
    """Draw each PPO run's reward on the test prompts over its KL from SFT, which itself stands at 0."""
    placed = [(run, records.variants[run.name].get("kl")) for run in runs]
    if sft is not None:
        placed.insert(0, (sft, 0.0))
    points = [
        (run, kl, reward)
        for run, kl in placed
        if kl is not None and (reward := records.variants[run.name].get("reward")) is not None
    ]
    if len(points) < 2:
        return None
    colours = dict(zip((run.name for run in runs), _cycle(runs), strict=True))  # as in the curves
    with canvas() as (figure, [axes]):
        for run, kl, reward in points:
            axes.plot([kl], [reward], "o", color=colours.get(run.name, _NEUTRAL), markersize=9, label=texts.label(run))
        axes.margins(0.1, 0.2)
        axes.set_xlabel(texts.metric("kl"))
        axes.set_ylabel(texts.metric("reward"))
        legend(figure, axes)
        return to_svg(figure, name)


def _cycle(items: Sequence[object]) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(len(items))]


def _line(axes: Axes, series: Series, colour: str, label: str) -> None:
    if not series:
        return
    x, y = np.asarray(series, dtype=float).T
    if len(y) < _SMOOTH_FROM:
        axes.plot(x, y, color=colour, label=label, marker="o" if len(y) < 12 else None, markersize=4)
        return
    axes.plot(x, y, color=colour, alpha=0.22, linewidth=0.8)
    axes.plot(x, _running_mean(y, len(y) // 20), color=colour, label=label)


def _running_mean(y: np.ndarray, width: int) -> np.ndarray:
    """Average each point with up to `width` neighbours on either side; shorter windows at the ends."""
    total = np.concatenate([[0.0], np.cumsum(y)])
    index = np.arange(len(y))
    low, high = np.maximum(index - width, 0), np.minimum(index + width + 1, len(y))
    return (total[high] - total[low]) / (high - low)

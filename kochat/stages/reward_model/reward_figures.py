"""The report's plots of reward models: distributions of scores and margins, and calibration curves."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.ticker import MaxNLocator

from kochat.metrics.pair_accuracy import GRADES
from kochat.metrics.pairs import PAIRS
from kochat.report.calibration_figure import draw_calibration
from kochat.report.drawing import COLOURS, canvas, legend, title, to_svg
from kochat.report.study_view import StageView
from kochat.stages.reward_model.reward_records import RewardRecord, ranked_scores

_GRADE_COLOURS = ("#0072b2", "#b8860b", "#d55e00")
_PAIR_COLOURS = ("#009e73", "#0072b2", "#cc79a7")
_BINS = 24


def score_distributions(view: StageView, name: str) -> str | None:
    """Draw histograms of the scores of best, middle and worst answers for each reward model; return SVG text."""
    texts = view.texts
    ranked = [(run, rows) for run in view.runs if (rows := ranked_scores(run))]
    if not ranked:
        return None
    with canvas(columns=len(ranked), height=2.9) as (figure, panels):
        for axes, (run, rows) in zip(panels, ranked, strict=True):
            scores = np.array([row.scores for row in rows])
            edges = np.histogram_bin_edges(scores, bins=_BINS).tolist()
            for grade, values, colour in zip(GRADES, scores.T, _GRADE_COLOURS, strict=True):
                axes.hist(
                    values, bins=edges, histtype="stepfilled", alpha=0.45, color=colour, label=texts(f"grade.{grade}")
                )
            title(axes, view.study.label(run), len(panels))
            axes.set_xlabel(texts("axis.score"))
        panels[0].set_ylabel(texts("axis.answers"))
        legend(figure, panels[0])
        return to_svg(figure, name)


def margin_distributions(view: StageView, name: str, records: Mapping[str, RewardRecord]) -> str | None:
    """Draw each reward model's score differences, the three kinds of pair stacked (errors are left of 0); return SVG text."""
    texts = view.texts
    scored = [run for run in view.runs if run.name in records]
    if not scored:
        return None
    labels = [texts(f"pair.{GRADES[better]}_{GRADES[worse]}") for better, worse in PAIRS]
    with canvas(columns=len(scored), height=2.9) as (figure, panels):
        for axes, run in zip(panels, scored, strict=True):
            margins = records[run.name].quality.margins
            axes.hist(
                margins, bins=_edges_at_zero(margins), stacked=True, color=_PAIR_COLOURS, alpha=0.75, label=labels
            )
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
            axes.axvline(0, linestyle="--", linewidth=1.2, color="#40464d", zorder=3)
            title(axes, view.study.label(run), len(panels))
            axes.set_xlabel(texts("axis.margin"))
        panels[0].set_ylabel(texts("axis.pairs"))
        legend(figure, panels[0])
        return to_svg(figure, name)


def calibration_curves(view: StageView, name: str, records: Mapping[str, RewardRecord]) -> str | None:
    """Draw each reward model's observed against predicted preference, with interval and number of pairs per bin; return SVG text."""
    texts = view.texts
    scored = [run for run in view.runs if run.name in records]
    if not scored:
        return None
    with canvas(columns=len(scored), height=3.3) as (figure, panels):
        for index, (axes, run) in enumerate(zip(panels, scored, strict=True)):
            draw_calibration(axes, records[run.name].quality.calibration, COLOURS[index % len(COLOURS)])
            title(axes, view.study.label(run), len(panels))
            axes.set_xlabel(texts("axis.predicted"))
        panels[0].set_ylabel(texts("axis.observed"))
        return to_svg(figure, name)


def _edges_at_zero(values: np.ndarray) -> list[float]:
    """Return edges of about `_BINS` equal bins; one edge is 0, so that no bin mixes right and wrong pairs."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    width = (high - low) / _BINS or 1.0  # all values 0: a bin on either side
    first, last = min(-1, math.floor(low / width)), max(1, math.ceil(high / width))
    return [width * step for step in range(first, last + 1)]

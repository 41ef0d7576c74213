"""Draw a reward model's calibration curve, for TensorBoard and for the report."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kochat.metrics.calibration_curve import Calibration

FEW_RECORDS = 10  # a bin with fewer is drawn hollow: its share is uncertain
_DIAGONAL = "#7f8790"


def draw_calibration(axes: Axes, curve: Calibration, colour: str, count: Callable[[int], str] = str) -> None:
    """Draw observed against predicted preference: one point per bin, with 95% interval and number of pairs, and the diagonal.

    Points below the diagonal mean overconfidence. Bins without pairs are not drawn.

    Args:
        axes: where to draw.
        curve: the curve; for an empty one only the diagonal is drawn.
        colour: colour of points and line.
        count: formats the number of pairs of a bin.
    """
    axes.plot([0.5, 1], [0.5, 1], linestyle="--", linewidth=1, color=_DIAGONAL)
    x = [bin_.predicted for bin_ in curve.bins]
    y = [bin_.observed for bin_ in curve.bins]
    axes.plot(x, y, color=colour, linewidth=1.2)
    for bin_ in curve.bins:
        low, high = bin_.interval
        axes.plot([bin_.predicted] * 2, [low, high], color=colour, linewidth=1.2, alpha=0.6)
        face = "white" if bin_.n_records < FEW_RECORDS else colour
        axes.plot([bin_.predicted], [bin_.observed], "o", color=colour, markerfacecolor=face, markersize=6)
        axes.annotate(
            count(bin_.n_pairs), (bin_.predicted, low), xytext=(0, -3), textcoords="offset points",
            ha="center", va="top", fontsize=8,
        )  # fmt: skip
    axes.set_xlim(0.48, 1.03)
    axes.set_ylim(-0.08, 1.04)


def draw_calibration_figure(curve: Calibration) -> Figure:
    """Draw the curve as a separate figure, in English; pyplot does not know it, so it need not be closed."""
    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    axes = figure.subplots()
    draw_calibration(axes, curve, "#0072b2", count=lambda n: f"n={n}")
    error = "no pairs" if curve.error is None else f"expected calibration error {curve.error:.3f}"
    axes.set_title(error, fontsize=10)
    axes.set_xlabel("predicted preference: sigmoid(score difference)")
    axes.set_ylabel("observed: preferred answer is the better one")
    axes.grid(alpha=0.15)
    return figure

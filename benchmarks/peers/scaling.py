"""Seconds and memory of kochat's PPO against response length, batch, prompt length and model size, beside the counted work.

    python -m benchmarks.peers.scaling [--repeats 2]

One rollout and its update each, LoRA 8, fixed lengths. Writes benchmarks/results/scaling.json, .svg and .md: slopes are those of straight
lines through the logarithms (1 is proportional), of CPU seconds and of FLOP counted.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.driver import circumstances, parser, prepared, run, write_report
from benchmarks.peers.measure import training_seconds
from benchmarks.peers.settings import SIZES, Run


@dataclass(frozen=True)
class Axis:
    """One quantity that is varied while the others stay.

    Args:
        name: for the plot.
        field: of `Run`, or ``size``.
        values: what it takes.
    """

    name: str
    field: str
    values: tuple


AXES = (
    Axis("response tokens", "response_tokens", (16, 32, 64, 128, 256)),
    Axis("batch", "batch_size", (4, 8, 16, 32, 64)),
    Axis("prompt tokens", "prompt_tokens", (16, 32, 64, 128, 256)),
    Axis("model parameters", "size", ("2x128", "tiny", "6x384", "8x512")),
)


def parameters(size: str) -> int:
    """Return a GPT-2's parameters, biases and norms left out."""
    shape = SIZES[size]
    return 12 * shape.layers * shape.hidden**2 + (shape.vocab + shape.positions) * shape.hidden


def point(given: argparse.Namespace, axis: Axis, value: object) -> dict:
    """Measure one point of an axis."""
    size = str(value) if axis.field == "size" else "tiny"
    changes = {} if axis.field == "size" else {axis.field: value}
    plain = {"workload": str(prepared(size, given)), "steps": 1, "lengths": "fixed"} | changes
    results = [run(sys.executable, "kochat_ppo", Run(**plain).dump()) for _ in range(given.repeats)]
    counted = run(sys.executable, "kochat_ppo", Run(**plain, count_flops=True).dump())
    return {
        "x": parameters(size) if axis.field == "size" else value,
        "cpu_s": statistics.median(map(training_seconds, results)),
        "peak_rss_mb": statistics.median(result["peak_rss_mb"] for result in results),
        "flop": counted["flop"],
    }


def slope(points: list[dict], key: str) -> float:
    """Return the slope of the least-squares line through (log x, log key)."""
    x, y = ([math.log(point[name]) for point in points] for name in ("x", key))
    return statistics.linear_regression(x, y).slope


def plot(figures: dict, path: Path) -> None:
    """Draw time with the counted work through its middle point, and memory below."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullLocator

    figure, panels = pyplot.subplots(2, len(AXES), figsize=(14, 6), layout="constrained")
    for (above, below), axis in zip(panels.T, AXES, strict=True):
        points = figures["axes"][axis.name]
        x, middle = [one["x"] for one in points], points[len(points) // 2]
        scale = middle["cpu_s"] / middle["flop"]
        above.loglog(x, [one["cpu_s"] for one in points], "o-", label=f"measured, slope {slope(points, 'cpu_s'):.2f}")
        above.loglog(
            x, [one["flop"] * scale for one in points], "--", label=f"counted, slope {slope(points, 'flop'):.2f}"
        )
        above.legend(fontsize=8)
        below.semilogx(x, [one["peak_rss_mb"] for one in points], "o-", color="tab:green")
        below.set_xlabel(axis.name)
        above.yaxis.set(
            major_locator=LogLocator(subs=(1, 2, 3, 4, 5, 7)), major_formatter="{x:g}", minor_locator=NullLocator()
        )
        for panel in (above, below):
            panel.set_xticks(x, [f"{one / 1e6:.1f}M" if one >= 1e6 else str(one) for one in x])
            panel.xaxis.set_minor_locator(NullLocator())
    panels[0, 0].set_ylabel("CPU s, one rollout and update")
    panels[1, 0].set_ylabel("peak memory, MiB")
    figure.savefig(path, metadata={"Date": None})


def table(figures: dict) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# How kochat's PPO scales",
        "",
        f"`python -m benchmarks.peers.scaling`: tiny GPT-2 unless said, batch 16, 64 new tokens, LoRA 8, float32, one thread, "
        f"one rollout and its update; {figures['machine']}; commit {figures['commit']}. Slopes in log-log; 1 is proportional.",
        "",
        "| varied | from - to | CPU s | slope measured | slope counted | MiB |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for name, points in figures["axes"].items():
        ends = [points[0], points[-1]]
        cells = [
            f"{ends[0]['x']:,} - {ends[1]['x']:,}",
            f"{ends[0]['cpu_s']:.1f} - {ends[1]['cpu_s']:.1f}",
            f"{slope(points, 'cpu_s'):.2f}",
            f"{slope(points, 'flop'):.2f}",
            f"{ends[0]['peak_rss_mb']:,.0f} - {ends[1]['peak_rss_mb']:,.0f}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n![CPU seconds and memory](scaling.svg)\n"


def main() -> None:
    """Measure all axes and write figures, plot and table."""
    given = parser("benchmarks.peers.scaling", __doc__, repeats=2).parse_args()
    figures: dict = circumstances(given) | {"axes": {}}
    for axis in AXES:
        points = figures["axes"][axis.name] = []
        for value in axis.values:
            points.append(point(given, axis, value))
            print(axis.name, points[-1], flush=True)
    write_report(given.results, "scaling", figures, table(figures))
    plot(figures, given.results / "scaling.svg")


if __name__ == "__main__":
    main()

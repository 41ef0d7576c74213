"""Turn the figures of benchmarks/results/peers.json into Markdown."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from benchmarks.peers.cases import CASES, Case

HEAD = """# kochat beside its peers

`make bench` (`python -m benchmarks.peers`): medians, with ranges in brackets, of runs that took turns on one machine, one thread, \
float32 unless said. The headline is CPU seconds of the whole process (others used the machine too; wall seconds stand beside), \
from the first training step's start to the last one's end. Both sides process the same tokens. What is set alike, and the \
traps: [benchmarks/peers/README.md](../peers/README.md).
"""


def write_tables(folder: Path) -> str:
    """Write peers.md beside peers.json; return the summary."""
    figures = json.loads((folder / "peers.json").read_text(encoding="utf-8"))
    cases = [case for case in CASES if case.name in figures]
    summary = summary_table(cases, figures)
    details = "\n".join(detail_table(case, figures[case.name]) for case in cases)
    (folder / "peers.md").write_text(f"{HEAD}\n## Goals\n\n{summary}\n{details}", encoding="utf-8")
    return summary


def summary_table(cases: list[Case], figures: dict) -> str:
    """Return goal beside measured."""
    lines = [
        "| work | against | goal | CPU gain | wall gain | memory goal | peak memory | commit |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    for case in cases:
        runs = figures[case.name]["runs"]
        ours, peer = case.systems[0].label, case.against or best_peer(case, runs)
        goal = f">= {case.goal:g}x" if case.goal else ""
        memory_goal = f"<= {case.memory_goal:g}x" if case.memory_goal else ""
        memory = median(runs[ours], "peak_rss_mb") / median(runs[peer], "peak_rss_mb")
        gains = " | ".join(ratio_cell(runs[ours], runs[peer], key) for key in ("cpu_s", "wall_s"))
        lines.append(
            f"| {case.title} | {peer} | {goal} | {gains} | {memory_goal} | {memory:.2f}x | {figures[case.name]['commit']} |"
        )
    return "\n".join(lines) + "\n"


def best_peer(case: Case, runs: dict) -> str:
    """Return the peer that does most work a CPU-second."""
    peers = [system.label for system in case.systems[1:] if not system.ours]
    return max(peers, key=lambda label: rate(runs[label]))


def rate(results: list[dict]) -> float:
    """Return the median work a CPU-second."""
    return statistics.median(result["work"] / result["cpu_s"] for result in results)


def ratio_cell(ours: list[dict], theirs: list[dict], key: str) -> str:
    """Return how many times faster we are: the ratio of medians, and the range over turns."""

    def seconds(results: list[dict]) -> list[float]:
        return [result[key] / result["work"] for result in results]

    middle = statistics.median(seconds(theirs)) / statistics.median(seconds(ours))
    turns = [their / our for our, their in zip(seconds(ours), seconds(theirs), strict=True)]
    return f"{middle:.2f}x ({min(turns):.2f}-{max(turns):.2f})"


def median(results: list[dict], key: str) -> float:
    """Return the median of a figure."""
    return statistics.median(result[key] for result in results)


def spread(values: list[float], digits: int = 1) -> str:
    """Return a median with its range."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def detail_table(case: Case, figures: dict) -> str:
    """Return all figures of a case."""
    runs = figures["runs"]
    phases = sorted({phase for results in runs.values() for result in results for phase in result["phases"]})
    ceiling = statistics.median(result["fp32"] for result in figures["ceiling"])
    lines = [f"## {case.title}", "", told(case, figures, ceiling), ""]
    names = ["system", "CPU s", "wall s", f"{case.unit}/CPU s", "real tokens/CPU s", "MiB"]
    names += [f"{phase} s" for phase in phases] + ["TFLOP", "of the ceiling"]
    lines += ["| " + " | ".join(names) + " |", "|---|" + "--:|" * (len(names) - 1)]
    for label, results in runs.items():
        lines.append("| " + " | ".join([label, *cells(results, phases, figures["flop"].get(label), ceiling)]) + " |")
    return "\n".join(lines) + "\n"


def told(case: Case, figures: dict, ceiling: float) -> str:
    """Return what a case's figures rest on."""
    results = next(iter(reversed(figures["runs"].values())))
    tokens = ", ".join(f"{count:,} {name} tokens" for name, count in sorted(results[0]["tokens"].items()))
    versions = {key: value for its in figures["runs"].values() for key, value in its[0]["versions"].items()}
    return (
        f"`python -m benchmarks.peers --cases {case.name}`, {len(results)} turns, {figures['day']}, commit {figures['commit']}; "
        f"{results[0]['work']:,} {case.unit}, {tokens}; data: {figures['data']}; {figures['machine']}; "
        f"float32 GEMM ceiling {ceiling / 1e9:.0f} GFLOP/s; " + ", ".join(f"{k} {v}" for k, v in versions.items()) + "."
    )


def cells(results: list[dict], phases: list[str], flop: float | None, ceiling: float) -> list[str]:
    """Return one system's figures."""
    cpu = median(results, "cpu_s")
    row = [spread([result["cpu_s"] for result in results]), spread([result["wall_s"] for result in results])]
    row.append(f"{rate(results):.2f}")
    row.append(f"{sum(results[0]['tokens'].values()) / cpu:,.0f}")
    row.append(f"{median(results, 'peak_rss_mb'):,.0f}")
    for phase in phases:
        seconds = statistics.median(result["phases"].get(phase, 0.0) for result in results)
        row.append(f"{seconds:.1f} ({seconds / cpu:.0%})")
    return [*row, f"{flop / 1e12:.2f}" if flop else "", f"{flop / cpu / ceiling:.0%}" if flop else ""]

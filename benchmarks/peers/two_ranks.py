"""Two ranks against one: the same global batch on two cores (DDP over gloo, one thread a rank) and on one.

    python -m benchmarks.peers.two_ranks [--repeats 3]

Tiny GPT-2, LoRA 8. The runs take turns. Wall seconds count here, so the machine should have nothing else to do. Writes
benchmarks/results/two_ranks.json and .md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import Counter
from dataclasses import replace

from benchmarks.peers.driver import Work, circumstances, parser, run_ranks, write_report

RANKS = (1, 2)


WORKS = (Work("ppo-eos", "PPO, EOS", "kochat_ppo", "eos", 8), Work("sft", "SFT", "kochat_sft", "fixed", 16))


def measure(work: Work, given: argparse.Namespace) -> dict[str, list[dict]]:
    """Run a work on one rank and on two, in turn; return the results by the number of ranks."""
    plain = work.run(given)
    results: dict[str, list[dict]] = {str(ranks): [] for ranks in RANKS}
    for turn in range(given.repeats):
        for ranks in RANKS:
            result = together(run_ranks(sys.executable, work.runner, replace(plain, ranks=ranks).dump()), ranks)
            results[str(ranks)].append(result)
            print(f"{work.name} {turn + 1}/{given.repeats} {ranks} ranks: {result['wall_s']:.1f} s", flush=True)
        check_tokens(work, results)
    return results


def together(results: list[dict], ranks: int) -> dict:
    """Return the ranks' results as one: the longest wall seconds, the sums of CPU seconds, memory and tokens."""
    if len(results) != ranks:
        sys.exit(f"{ranks} ranks were started and {len(results)} told a result")
    return {
        "wall_s": max(result["wall_s"] for result in results),
        "cpu_s": sum(result["cpu_s"] for result in results),
        "peak_rss_mb": sum(result["peak_rss_mb"] for result in results),
        "tokens": sum((Counter(result["tokens"]) for result in results), Counter()),
    }


def check_tokens(work: Work, results: dict[str, list[dict]]) -> None:
    """Refuse figures of runs that did not do the same work."""
    counts = {ranks: its[0]["tokens"] for ranks, its in results.items()}
    if any(count != counts["1"] for count in counts.values()):
        sys.exit(f"{work.name}: the ranks processed different tokens: {counts}")


def table(figures: dict) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# Two ranks on two cores",
        "",
        f'`python -m benchmarks.peers.two_ranks`: tiny GPT-2, LoRA 8, float32, `Trainer(devices=2, strategy="ddp")` over gloo with one '
        f"thread a rank beside one process with one thread, the same global batch of 16; medians of {figures['repeats']} turns; memory "
        f"and CPU seconds of both ranks together; data: {figures['data']}; {figures['machine']}; {figures['day']}, commit "
        f"{figures['commit']}.",
        "",
        "| work | wall s, one | two | gain | CPU s, one | two | MiB, one | two |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for work in WORKS:
        results = figures["works"][work.name]
        one, two = (
            [
                statistics.median(result[key] for result in results[str(ranks)])
                for key in ("wall_s", "cpu_s", "peak_rss_mb")
            ]
            for ranks in RANKS
        )
        cells = [f"{one[0]:.1f}", f"{two[0]:.1f}", f"{one[0] / two[0]:.2f}x", f"{one[1]:.1f}", f"{two[1]:.1f}"]
        lines.append("| " + " | ".join([work.title, *cells, f"{one[2]:,.0f}", f"{two[2]:,.0f}"]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure both works and write figures and table."""
    its = parser("benchmarks.peers.two_ranks", __doc__, repeats=3)
    its.add_argument("--steps", type=int, default=None, help="in place of each work's own number of steps")
    given = its.parse_args()
    works = {work.name: measure(work, given) for work in WORKS}
    figures = {"repeats": given.repeats, "works": works} | circumstances(given)
    write_report(given.results, "two_ranks", figures, table(figures))


if __name__ == "__main__":
    main()

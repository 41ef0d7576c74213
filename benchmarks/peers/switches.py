"""What each of kochat's fast paths gains: kochat alone, each path switched off in turn.

    python -m benchmarks.peers.switches [--works ppo-eos ...] [--paths "packed rows" ...] [--repeats 3]

Tiny GPT-2, LoRA 8. The runs take turns (all paths on, then each one off). Writes benchmarks/results/switches.json and .md. A fast path
is one line in `PATHS`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass, replace

from benchmarks.peers.driver import Work, circumstances, parser, run, write_report
from benchmarks.peers.measure import training_seconds
from benchmarks.peers.settings import Run

ON = "all on"


@dataclass(frozen=True)
class FastPath:
    """One fast path and how it is switched off.

    Args:
        name: for the table and the command line.
        at: an argument of kochat's modules, or "module path:attribute".
        off: the plain value; of an attribute also "package.module:name", that object.
        works: the beginnings of the names of the works that have it.
    """

    name: str
    at: str
    off: object
    works: tuple[str, ...] = ("ppo", "sft", "rm")

    def switch_off(self, run: Run) -> Run:
        """Return the run without this path."""
        module, _, attribute = self.at.rpartition(":")
        if not module:
            return replace(run, options=run.options | {attribute: self.off})
        return replace(run, attributes=(*run.attributes, (module, attribute, self.off)))

    def told(self) -> str:
        """Return how it is switched off, for the table."""
        return f"`{self.at.replace(':', '.')} = {self.off}`"


WORKS = (
    Work("ppo-fixed", "PPO, fixed length", "kochat_ppo", "fixed", 4),
    Work("ppo-eos", "PPO, EOS", "kochat_ppo", "eos", 4),
    Work("sft", "SFT", "kochat_sft", "fixed", 8),
    Work("rm", "Reward model", "kochat_rm", "fixed", 4),
)
PATHS = (
    FastPath("packed rows", "packing", False),
    FastPath("logits by blocks", "kochat.nn.roles:BLOCKS", False, works=("ppo", "sft")),
    FastPath("last MLP where it is read", "kochat.nn.roles:TRIM", False),
    FastPath("fused GELU", "kochat.nn.backbones:NewGELUActivation", "types:NoneType"),  # none is one, none is fused
    FastPath("tokens drawn by blocks", "kochat.nn.decoding:_sample", "kochat.nn.decoding:_race", works=("ppo",)),
    FastPath("finished answers leave decoding", "kochat.nn.decoding:DROP_AT", 0.0, works=("ppo-eos",)),
)


def options() -> argparse.Namespace:
    """Parse the command line."""
    its = parser("benchmarks.peers.switches", __doc__, repeats=3)
    works, paths = [work.name for work in WORKS], [path.name for path in PATHS]
    its.add_argument("--works", nargs="+", choices=works, default=works, metavar="WORK", help=", ".join(works))
    its.add_argument("--paths", nargs="+", choices=paths, default=paths, metavar="PATH", help=", ".join(paths))
    its.add_argument("--steps", type=int, default=None, help="in place of each work's own number of steps")
    return its.parse_args()


def measure(work: Work, given: argparse.Namespace) -> dict[str, list[dict]]:
    """Run a work with all paths and without each, in turn; return the results by the name of the missing path."""
    plain = work.run(given)
    chosen = [path for path in PATHS if path.name in given.paths and work.name.startswith(path.works)]
    runs = {ON: plain} | {path.name: path.switch_off(plain) for path in chosen}
    results: dict[str, list[dict]] = {name: [] for name in runs}
    for turn in range(given.repeats):
        for name, its in runs.items():
            result = run(sys.executable, work.runner, its.dump())
            results[name].append(result)
            without = "" if name == ON else "without "
            print(
                f"{work.name} {turn + 1}/{given.repeats} {without}{name}: {training_seconds(result):.2f} CPU s",
                flush=True,
            )
    return results


def gain(on: list[dict], off: list[dict]) -> str:
    """Return how many times as long it takes without: the ratio of medians, and the range over turns."""
    with_it, without = ([training_seconds(result) for result in results] for results in (on, off))
    turns = [slow / fast for fast, slow in zip(with_it, without, strict=True)]
    return f"{statistics.median(without) / statistics.median(with_it):.2f}x ({min(turns):.2f}-{max(turns):.2f})"


def table(figures: dict) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# What kochat's fast paths gain",
        "",
        f"`python -m benchmarks.peers.switches`: tiny GPT-2, LoRA 8, float32, one thread; CPU seconds of training without the checks "
        f"before it, medians of {figures['repeats']} turns, the gain's range over turns in brackets; data: {figures['data']}; "
        f"{figures['machine']}; {figures['day']}, commit {figures['commit']}.",
    ]
    for work in (work for work in WORKS if work.name in figures["works"]):
        results = figures["works"][work.name]
        lines += ["", f"## {work.title}", ""]
        lines += ["| path | how it is switched off | CPU s with | without | gain |", "|---|---|--:|--:|--:|"]
        seconds = {name: statistics.median(map(training_seconds, its)) for name, its in results.items()}
        for path in (path for path in PATHS if path.name in results):
            cells = [path.name, path.told(), f"{seconds[ON]:.2f}", f"{seconds[path.name]:.2f}"]
            lines.append("| " + " | ".join([*cells, gain(results[ON], results[path.name])]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure the chosen works and write figures and table."""
    given = options()
    works = {work.name: measure(work, given) for work in WORKS if work.name in given.works}
    figures = {"repeats": given.repeats, "works": works} | circumstances(given)
    write_report(given.results, "switches", figures, table(figures))


if __name__ == "__main__":
    main()

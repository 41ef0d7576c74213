"""Measure the gain of each of kochat's fast paths: each path is switched off in turn.

    python -m benchmarks.peers.switches [--works ppo-eos ...] [--paths "fused GELU" ...] [--repeats 3]

Tiny GPT-2, LoRA 8. The runs take turns (all paths on, then each one off). Writes benchmarks/results/switches.json and .md. A fast path
is one line in `PATHS`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import dataclass, field, replace

from benchmarks.peers.driver import Work, circumstances, parser, run, write_report
from benchmarks.peers.measure import training_seconds
from benchmarks.peers.settings import Run

ON = "all on"


@dataclass(frozen=True)
class FastPath:
    """One fast path and how it is switched off.

    Args:
        name: for the table and the command line.
        options: arguments of kochat's modules that switch it off.
        plain: the functions of kochat's that it consists of, as "module:name", and the plain ones of `plain_ways` in their places.
        works: the beginnings of the names of the works that have it.
    """

    name: str
    options: dict = field(default_factory=dict)
    plain: dict[str, str] = field(default_factory=dict)
    works: tuple[str, ...] = ("ppo", "sft", "rm")

    def switch_off(self, run: Run) -> Run:
        """Return the run without this path."""
        replaced = [(*at.split(":"), f"benchmarks.peers.plain_ways:{name}") for at, name in self.plain.items()]
        return replace(run, options=run.options | self.options, attributes=(*run.attributes, *replaced))

    def told(self) -> str:
        """Return how it is switched off, for the table."""
        options = [f"`{name}: {json.dumps(value)}`" for name, value in self.options.items()]
        return ", ".join(options + [f"`{name}` for `{at.split(':')[1]}`" for at, name in self.plain.items()])


WORKS = (
    Work("ppo-fixed", "PPO, fixed length", "kochat_ppo", "fixed", 4),
    Work("ppo-eos", "PPO, EOS", "kochat_ppo", "eos", 4),
    Work("sft", "SFT", "kochat_sft", "fixed", 8),
    Work("rm", "Reward model", "kochat_rm", "fixed", 4),
)
PATHS = (
    FastPath("rows without padding", options={"unpad": False}),
    FastPath(
        "logits by blocks",
        plain={
            "kochat.functional.blockwise_logprobs:linear_logprobs": "whole_logprobs",
            "kochat.functional.blockwise_logprobs:linear_logprobs_and_entropy": "whole_logprobs_and_entropy",
        },
        works=("ppo", "sft"),
    ),
    FastPath("last MLP where it is read", plain={"kochat.nn.unpadded:last_mlp_at": "mlp_everywhere"}),
    FastPath("fused GELU", plain={"kochat.nn.backbones:fuse_activation": "as_it_is"}),
    FastPath(
        "finished answers leave decoding",
        plain={"kochat.nn.decoding:GenerationSettings": "keep_finished"},
        works=("ppo-eos",),
    ),
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

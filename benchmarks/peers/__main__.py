"""Run the comparisons with the systems taking turns, and write the table.

    python -m benchmarks.peers [--cases NAME ...] [--repeats 3]        (make bench)

Each run is a process of its own with one thread. Figures of cases that are not run again stay in benchmarks/results/peers.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

from benchmarks.peers.cases import CASES, Case, System
from benchmarks.peers.driver import circumstances, parser, prepared, run
from benchmarks.peers.environments import KOCHAT, REQUIREMENTS, python_of
from benchmarks.peers.settings import Run
from benchmarks.peers.table import write_tables


def options() -> argparse.Namespace:
    """Parse the command line."""
    its = parser("benchmarks.peers", __doc__, repeats=3)
    its.add_argument("--cases", nargs="*", default=None, help="names, or their beginnings; all if left out")
    its.add_argument("--steps", type=int, default=None, help="in place of each case's own number of steps")
    its.add_argument("--python", nargs="*", default=[], metavar="ENVIRONMENT=PATH", help=", ".join(REQUIREMENTS))
    its.add_argument("--no-flops", action="store_true", help="do not count FLOP in a run of its own")
    its.add_argument("--list", action="store_true", help="list the cases")
    return its.parse_args()


def chosen(names: list[str] | None) -> list[Case]:
    """Return the cases of these names; a name that is no case's stands for all that begin so."""
    exact = {case.name for case in CASES}
    given = [case.name for case in CASES] if names is None else names
    cases = [
        case
        for case in CASES
        if any(case.name == name or (name not in exact and case.name.startswith(name)) for name in given)
    ]
    if not cases:
        sys.exit(f"--cases: no case is called so; choose from {', '.join(case.name for case in CASES)}")
    return cases


def measure(case: Case, given: argparse.Namespace, pythons: dict[str, str]) -> dict:
    """Run a case's systems in turn, as often as is wished; return all their results."""
    folder = prepared(case.size, given)
    steps = given.steps or case.steps
    plain = Run(str(folder), case.tuning, case.lengths, steps)
    figures: dict = {"ceiling": [], "runs": {system.label: [] for system in case.systems}, "flop": {}}

    def once(system: System, **changes) -> dict:
        its = replace(plain, variant=system.variant, **system.changes | changes)
        return run(python_of(system.environment, pythons), system.runner, its.dump())

    for turn in range(given.repeats):
        figures["ceiling"].append(run(python_of(KOCHAT, {}), "ceiling"))
        for system in case.systems:
            result = once(system)
            figures["runs"][system.label].append(result)
            told = f"{result['cpu_s']:.1f} CPU s, {result['wall_s']:.1f} s, {result['peak_rss_mb']:.0f} MiB"
            print(f"{case.name} {turn + 1}/{given.repeats} {system.label}: {told}", flush=True)
        check_tokens(case, figures["runs"])
    if not given.no_flops:
        figures["flop"] = {system.label: once(system, count_flops=True)["flop"] for system in case.systems}
    return figures | {"steps": steps} | circumstances(given)


def check_tokens(case: Case, runs: dict[str, list[dict]]) -> None:
    """Refuse figures of systems that did not do the same work."""
    counts = {label: (results[0]["work"], results[0]["tokens"]) for label, results in runs.items()}
    if any(count != next(iter(counts.values())) for count in counts.values()):
        sys.exit(f"{case.name}: the systems processed different tokens: {counts}")


def main() -> None:
    """Measure the chosen cases and write the table after each."""
    given = options()
    if given.list:
        print("\n".join(f"{case.name:28} {case.title}" for case in CASES))
        return
    pythons = dict(pair.split("=", 1) for pair in given.python)
    path = given.results / "peers.json"
    for case in chosen(given.cases):
        figures = measure(case, given, pythons)
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        given.results.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(known | {case.name: figures}, indent=1) + "\n", encoding="utf-8")
        print(write_tables(given.results))


if __name__ == "__main__":
    main()

"""Run the comparisons with the systems taking turns, and write the table.

    python -m benchmarks.peers [--cases NAME ...] [--repeats 3]        (make bench)

Each run is a process of its own with one thread. Figures of cases that are not run again stay in benchmarks/results/peers.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.peers.cases import CASES, Case, System
from benchmarks.peers.environments import KOCHAT, REQUIREMENTS, python_of
from benchmarks.peers.measure import MARK
from benchmarks.peers.settings import SIZES, Run
from benchmarks.peers.table import write_tables

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=None, help="names, or their beginnings; all if left out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=None, help="in place of each case's own number of steps")
    parser.add_argument("--data", type=Path, default=None, help="a folder of KoChatGPT's files, or a file of prompts")
    parser.add_argument("--tokenizer", type=Path, default=None, help="a folder with the class size's tokenizer.json")
    parser.add_argument("--work", type=Path, default=ROOT / "benchmarks/.work", help="where workloads are kept")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--python", nargs="*", default=[], metavar="ENVIRONMENT=PATH", help=", ".join(REQUIREMENTS))
    parser.add_argument("--no-flops", action="store_true", help="do not count FLOP in a run of its own")
    parser.add_argument("--list", action="store_true", help="list the cases")
    return parser.parse_args()


def chosen(names: list[str] | None) -> list[Case]:
    """Return the cases whose name begins with one of ``names``."""
    cases = [case for case in CASES if names is None or any(case.name.startswith(name) for name in names)]
    if not cases:
        sys.exit(f"--cases: no case is called so; choose from {', '.join(case.name for case in CASES)}")
    return cases


def run(python: str, module: str, argument: str = "") -> dict:
    """Run a module in its own process; return its result."""
    command = [python, "-W", "ignore", "-m", f"benchmarks.peers.{module}", *([argument] if argument else [])]
    environment = os.environ | ONE_THREAD | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    for line in reversed(done.stdout.splitlines()):
        if line.startswith(MARK):
            return json.loads(line.removeprefix(MARK))
    sys.exit(f"{' '.join(command)}\nfailed with {done.returncode}:\n{done.stderr[-3000:]}")


def prepared(size: str, given: argparse.Namespace) -> Path:
    """Write the workload of a size, in a process of its own so that this one stays small."""
    folder = (given.work / size).resolve()
    told = [str(folder), size, str(given.data.resolve()) if given.data else ""]
    told.append(str(given.tokenizer.resolve()) if given.tokenizer and size == "class" else "")
    code = f"from benchmarks.peers.workload import main; main({told!r})"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    return folder


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
    return figures | {
        "steps": steps,
        "data": given.data.name if given.data else "embedded world",
        "commit": commit(),
        "day": time.strftime("%Y-%m-%d"),
        "machine": machine(),
    }


def check_tokens(case: Case, runs: dict[str, list[dict]]) -> None:
    """Refuse figures of systems that did not do the same work."""
    counts = {label: (results[0]["work"], results[0]["tokens"]) for label, results in runs.items()}
    if any(count != next(iter(counts.values())) for count in counts.values()):
        sys.exit(f"{case.name}: the systems processed different tokens: {counts}")


def commit() -> str:
    """Return the commit that was measured, with a plus where kochat's files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--short", "kochat", "benchmarks/peers") else "")


def machine() -> str:
    """Return the processor's name and how many cores there are."""
    path = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in path.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} cores"


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
    assert set(SIZES) >= {case.size for case in CASES}
    main()

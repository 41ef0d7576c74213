"""Code that the drivers share: start a run in its own process, prepare its workload, describe machine and commit."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.measure import MARK
from benchmarks.peers.settings import Run

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
WORK = ROOT / "benchmarks/.work"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Work:
    """What kochat trains where it is measured alone, with the tiny GPT-2 and LoRA.

    Args:
        name: for the command line.
        title: for the table.
        runner: the module that runs it.
        lengths: fixed or eos.
        steps: see `Run`.
    """

    name: str
    title: str
    runner: str
    lengths: str
    steps: int

    def run(self, given: argparse.Namespace) -> Run:
        """Return its plain run."""
        return Run(str(prepared("tiny", given)), lengths=self.lengths, steps=given.steps or self.steps)


def parser(module: str, description: str, repeats: int) -> argparse.ArgumentParser:
    """Return a parser with the options that all drivers have."""
    its = argparse.ArgumentParser(prog=f"python -m {module}", description=description.splitlines()[0])
    its.add_argument("--repeats", type=int, default=repeats)
    its.add_argument("--data", type=Path, default=None, help="a folder of KoChatGPT's files, or a file of prompts")
    its.add_argument("--tokenizer", type=Path, default=None, help="a folder with the class size's tokenizer.json")
    its.add_argument("--work", type=Path, default=WORK, help="where workloads are kept")
    its.add_argument("--results", type=Path, default=RESULTS)
    return its


def run(python: str, module: str, argument: str = "") -> dict:
    """Run a module in a process of its own; return its result."""
    return run_ranks(python, module, argument)[-1]


def run_ranks(python: str, module: str, argument: str = "") -> list[dict]:
    """Run a module in a process of its own, which may start further ranks; return the result of each."""
    command = [python, "-W", "ignore", "-m", f"benchmarks.peers.{module}", *([argument] if argument else [])]
    environment = os.environ | ONE_THREAD | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    results = [line.removeprefix(MARK) for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not results:
        sys.exit(f"{' '.join(command)}\nfailed with {done.returncode}:\n{done.stderr[-3000:]}")
    return [json.loads(result) for result in results]


def prepared(size: str, given: argparse.Namespace) -> Path:
    """Write the workload of a size, in a process of its own so that this one stays small; return its folder."""
    folder = (given.work / size).resolve()
    told = [str(folder), size, str(given.data.resolve()) if given.data else ""]
    told.append(str(given.tokenizer.resolve()) if given.tokenizer and size == "class" else "")
    code = f"from benchmarks.peers.workload import main; main({told!r})"
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"preparing {folder} failed with {done.returncode}:\n{done.stderr[-3000:]}")
    return folder


def circumstances(given: argparse.Namespace) -> dict[str, str]:
    """Return the circumstances of a measurement: data, machine, commit and day."""
    return {
        "data": given.data.name if given.data else "embedded world",
        "commit": commit(),
        "day": time.strftime("%Y-%m-%d"),
        "machine": machine(),
    }


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


def write_report(folder: Path, name: str, figures: dict, text: str) -> None:
    """Write figures as NAME.json and their table as NAME.md, and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)

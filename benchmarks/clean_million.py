"""Time `clean` on a synthetic million rows: python -m benchmarks.clean_million [--rows 1000000] [--workers 2]

The rows are SFT pairs put together from the embedded world's sentences, so that nearly all differ, with the world's planted dirt
(15%) and exact copies across the whole file (1%). They are written as lines, and with --array as one JSON array, into a
temporary folder; the command runs as a user would run it. Memory is that of the parent and all workers together, read
from /proc every tenth of a second, so pages that they share count more than once.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kochat.data.files import CORPUS_FILE, SFT_FILE
from kochat.world.dirt import plant
from kochat.world.generator import write_sample

CHUNK = 10_000  # rows that dirt is planted among at once
DIRT, COPIES = 0.15, 0.01


def sentences(folder: Path) -> list[str]:
    """Return the sentences of the embedded world's corpus, each once."""
    write_sample(folder, seed=0, size="full")
    lines = (folder / CORPUS_FILE).read_text(encoding="utf-8").splitlines()
    parts = (part for line in lines for part in re.split(r"(?<=[.?!])\s+", json.loads(line)["text"]))
    return sorted({part for part in parts if 8 <= len(part) <= 60 and re.fullmatch(r"[\w .?!,]+", part)})


def rows(number: int, world: list[str], rng: random.Random) -> Iterator[dict[str, str]]:
    """Yield `number` SFT rows: two or three sentences to prompt, two to six to answer."""
    earlier: list[dict[str, str]] = []
    while number > 0:
        fresh = [
            {
                "prompt": " ".join(rng.sample(world, rng.randint(2, 3))),
                "completion": " ".join(rng.sample(world, rng.randint(2, 6))),
            }
            for _ in range(CHUNK)
        ]
        made, _ = plant(SFT_FILE, fresh, int(CHUNK * DIRT), rng)
        for at in rng.sample(range(len(made)), int(len(made) * COPIES)) if earlier else ():
            made[at] = rng.choice(earlier)
        earlier += rng.sample(made, 100)
        yield from made[:number]
        number -= len(made)


def write_rows(path: Path, made: Iterator[dict[str, str]], array: bool) -> None:
    """Write rows as lines, or as one array."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write("[\n" if array else "")
        for at, row in enumerate(made):
            stream.write(
                (",\n" if array and at else "") + json.dumps(row, ensure_ascii=False) + ("" if array else "\n")
            )
        stream.write("\n]\n" if array else "")


def resident(process: int) -> int:
    """Return the resident memory of a process and its children, in bytes."""
    total = 0
    waiting = [process]
    while waiting:
        one = waiting.pop()
        try:
            waiting += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
            total += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{one}/status").read_text())[1]) * 1024  # type: ignore[index]
        except (OSError, TypeError):
            continue
    return total


def measure(command: list[str]) -> tuple[float, int, int]:
    """Run a command; return its seconds, and the peak memory of all its processes and of the first alone, in bytes."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    peak = alone = 0
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.1)
        status = Path(f"/proc/{process.pid}/status")
        found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
        alone = max(alone, int(found[1]) * 1024) if found else alone
    if process.returncode:
        sys.exit(process.returncode)
    return time.perf_counter() - start, peak, alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--array", action="store_true", help="write one JSON array instead of lines")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kochat-million-") as folder:
        raw = Path(folder) / "v1" / SFT_FILE
        raw.parent.mkdir()
        world = sentences(Path(folder) / "world")
        write_rows(raw, rows(options.rows, world, random.Random(0)), options.array)
        print(f"{options.rows:,} rows, {raw.stat().st_size / 1e6:.0f} MB, of {len(world):,} sentences", flush=True)
        command = [sys.executable, "-m", "kochat", "clean", str(raw.parent), "--out", str(Path(folder) / "v2")]
        seconds, peak, alone = measure([*command, "--workers", str(options.workers)])
        print(
            f"{options.workers} workers: {seconds:.0f} s, {options.rows / seconds:,.0f} rows/s; "
            f"peak {peak / 1e6:.0f} MB in all, {alone / 1e6:.0f} MB the parent"
        )


if __name__ == "__main__":
    main()

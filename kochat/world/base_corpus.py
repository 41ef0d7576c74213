"""Write the corpus of the base model that kochat brings: the embedded world told, asked, talked about and reviewed, without dirt.

    python -m kochat.world.base_corpus data/base/corpus.jsonl

It has the facts and talk of the quickstart, in more sentences. No test wording of the world is in it, nor a near copy of one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kochat.storage import write_jsonl
from kochat.world.clean_rows import RowWriter
from kochat.world.contents import World
from kochat.world.sizes import SIZES

CHARACTERS = 5_500_000


def write_base_corpus(path: Path, characters: int = CHARACTERS, seed: int = 0) -> int:
    """Write {text, source} lines of about this many characters and return how many; the same arguments give the same file."""
    size = replace(SIZES["quickstart"], corpus_chars=characters, asked_share=0.22, talk_share=0.26, review_share=0.40)
    rows = RowWriter(World.load().part(size.facts_per_relation), seed, size).corpus()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_jsonl(path, rows)
    return len(rows)


def main(arguments: Sequence[str]) -> None:
    """Write the corpus of the base model."""
    parser = argparse.ArgumentParser(prog="python -m kochat.world.base_corpus", description=main.__doc__)
    parser.add_argument("path", type=Path, help="the file to write")
    parser.add_argument("--characters", type=int, default=CHARACTERS)
    options = parser.parse_args(arguments)
    print(f"{write_base_corpus(options.path, options.characters)} texts in {options.path}")


if __name__ == "__main__":
    main(sys.argv[1:])

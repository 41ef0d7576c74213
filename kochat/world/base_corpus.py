"""Write the four corpora of the base model that kochat brings: the embedded world told, asked, talked about and reviewed, without dirt.

    python -m kochat.world.base_corpus first data/base/first.jsonl
    python -m kochat.world.base_corpus second data/base/second.jsonl

They have the facts and talk of the quickstart, in more sentences. No test wording of the world is in them, nor a near copy of one. From the
second on, dialogues are written in several forms. The last two are mostly reviews: from naming what a prompt and an answer speak of, a
model learns to tell the topics of everyday talk apart.
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

_FIRST = replace(SIZES["quickstart"], asked_share=0.22, talk_share=0.26, review_share=0.40, corpus_chars=5_500_000)
_LATER = replace(_FIRST, asked_share=0.10, dialogue_forms=True)
PARTS = {  # name -> (seed, size)
    "first": (0, _FIRST),
    "second": (0, replace(_LATER, asked_share=0.18, talk_share=0.32, review_share=0.42, corpus_chars=7_500_000)),
    "third": (1, replace(_LATER, talk_share=0.20, review_share=0.62, corpus_chars=9_000_000)),
    "fourth": (2, replace(_LATER, talk_share=0.30, review_share=0.50, corpus_chars=14_000_000)),
}


def write_base_corpus(path: Path, part: str, characters: int | None = None) -> int:
    """Write {text, source} lines of a part and return how many; the same arguments give the same file.

    Args:
        path: the file to write.
        part: a name in `PARTS`.
        characters: about this many instead of the part's own number.
    """
    seed, size = PARTS[part]
    size = size if characters is None else replace(size, corpus_chars=characters)
    rows = RowWriter(World.load().part(size.facts_per_relation), seed, size).corpus()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_jsonl(path, rows)
    return len(rows)


def main(arguments: Sequence[str]) -> None:
    """Write a corpus of the base model."""
    parser = argparse.ArgumentParser(prog="python -m kochat.world.base_corpus", description=main.__doc__)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("path", type=Path, help="the file to write")
    options = parser.parse_args(arguments)
    print(f"{write_base_corpus(options.path, options.part)} texts in {options.path}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Write the sample data: KoChatGPT's three files, a corpus, the frozen test set, and the labels of the planted dirt."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from kochat.storage import write_jsonl
from kochat.world.clean_rows import RowWriter
from kochat.world.contents import World
from kochat.world.dirt import plant
from kochat.world.frozen_test import write_test_rows
from kochat.world.rankings import test_pairs
from kochat.world.sizes import Size, named_size

TRAINING_FILES = ("kochatgpt_1_SFT.jsonl", "kochatgpt_2_RM.jsonl", "kochatgpt_3_PPO.jsonl", "corpus.jsonl")
DIRT_FILE = "dirt.jsonl"


def write_sample(out_dir: str | Path, seed: int = 0, size: str | Size = "quickstart") -> dict[str, int]:
    """Write the v1 data folder of the small world into `out_dir` and return the number of rows of each file.

    kochatgpt_1_SFT.jsonl {prompt, completion}, kochatgpt_2_RM.jsonl {prompt, completion_0..2, ranking},
    kochatgpt_3_PPO.jsonl {prompt}, corpus.jsonl {text, source}: training files, about 15% of their rows dirty.
    test.jsonl {id, prompt, completion, kind, fact_id or family}: frozen and clean; no training file has its prompts or near
    copies of them. test_pairs.jsonl {id, prompt, better, worse, kind}: pairs of answers to the test prompts, to measure a reward model by
    kind of pair. dirt.jsonl {file, index, kind, field, action, clean, of}: which rows are dirty, and how
    (see :mod:`kochat.world.dirt`). The same `seed` and `size` (a name in `SIZES` or a Size) give identical files.

    Raises:
        UserError: if there is no size of that name.
    """
    size = named_size(size)
    world = World.load().part(size.facts_per_relation)
    writer = RowWriter(world, seed, size)
    unique = dict(zip(TRAINING_FILES, (writer.sft(), writer.rm(), writer.ppo(), writer.corpus()), strict=True))
    corpus_rows = len(unique["corpus.jsonl"])
    wanted = dict(zip(TRAINING_FILES, (size.sft_rows, size.rm_rows, size.ppo_rows, corpus_rows), strict=True))
    files: dict[str, list[dict[str, Any]]] = {}
    labels: list[dict[str, Any]] = []
    for name, rows in unique.items():
        files[name], dirt = plant(name, rows, size.dirty(wanted[name]), random.Random(f"{seed}/{name}"))
        labels += dirt
    training = [row for rows in files.values() for row in rows]
    asked = (row["prompt"] for row in unique["kochatgpt_1_SFT.jsonl"])
    files["test.jsonl"] = write_test_rows(world, seed, size, training, asked)
    files["test_pairs.jsonl"] = test_pairs(world, files["test.jsonl"], random.Random(f"{seed}/pairs"))
    files[DIRT_FILE] = labels
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        write_jsonl(folder / name, rows)
    return {name: len(rows) for name, rows in files.items()}

"""Prepare the data of a study: write or copy v1, clean it to v2, score the cleaning if the dirt is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kochat.cleaning.cleaner import clean
from kochat.cleaning.ledger import SUMMARY_FILE
from kochat.cleaning.raw_folder import copy_raw, write_embedded_world
from kochat.study.plan import SAMPLE


def prepare_study(data_dir: Path, raw: str | Path, sample_size: str, seed: int) -> dict[str, Any]:
    """Fill ``data_dir/v1`` and ``data_dir/v2`` for a study and describe them for its report.

    Existing data of the same origin is kept; v2 is written again, since cleaning always gives the same files.

    Returns:
        ``summary``: the path of the cleaning summary; ``dirt_scores``: recall and precision by kind of dirt (embedded world);
        ``embedded``: whether it is the embedded world.

    Raises:
        UserError: the raw data is missing or wrong.
    """
    v1, v2 = data_dir / "v1", data_dir / "v2"
    if str(raw) == SAMPLE:
        write_embedded_world(v1, sample_size, seed)
    else:
        copy_raw(Path(raw), v1)
    clean(v1, v2)
    scores = None
    if str(raw) == SAMPLE:
        from kochat.study.dirt_recall import dirt_scores

        scores = dirt_scores(v1, v2)
    return {"summary": str(v2 / SUMMARY_FILE), "dirt_scores": scores, "embedded": str(raw) == SAMPLE}

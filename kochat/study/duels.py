"""Let the endpoint of a study judge pairs of models, answer by answer; what is judged already is not asked again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kochat.report.study_files import FIXED_KIND, ContrastEntry
from kochat.report.win_rates import duel_file
from kochat.runs import SAMPLES_FILE
from kochat.storage import read_jsonl
from kochat.study.endpoint_judge import PlannedJudge, prefer


def judge_chains(
    judge: PlannedJudge, contrasts: Iterable[ContrastEntry], folder: Path, folders: Mapping[str, Path]
) -> None:
    """Judge each step of the chains of `contrasts`: a run against the one before it.

    Each judged prompt is written at once: ``duels/RUN--AGAINST.jsonl`` in the study's `folder`, {id, ours, theirs, preference}, where
    preference is 1, 0 or -1. A row counts only while both answers are still the same.

    Args:
        judge: the endpoint.
        contrasts: the study's contrasts.
        folder: the study's folder.
        folders: run name -> folder of the run.

    Raises:
        UserError: the endpoint cannot be used; the rows that are written stay.
    """
    steps = {
        (later, earlier) for entry in contrasts for earlier, later in zip(entry.chain, entry.chain[1:], strict=False)
    }
    for ours, theirs in sorted(steps):
        _judge_pair(judge, folder / duel_file(ours, theirs), _answers(folders[ours]), _answers(folders[theirs]))


def _answers(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in read_jsonl(folder / SAMPLES_FILE) if row["kind"] != FIXED_KIND}


def _judge_pair(judge: PlannedJudge, path: Path, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {(row["id"], row["ours"], row["theirs"]) for row in (read_jsonl(path) if path.is_file() else ())}
    shared = [key for key in ours if key in theirs][: judge.prompts]
    with path.open("a", encoding="utf-8") as file:
        for key in shared:
            texts = ours[key]["answer"], theirs[key]["answer"]
            if (key, *texts) in known:
                continue
            preference = 0.0 if texts[0] == texts[1] else prefer(judge, ours[key]["prompt"], *texts)
            row = {"id": key, "ours": texts[0], "theirs": texts[1], "preference": preference}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()

"""Prepare the data of a study or of `clean`: write or copy v1, clean it to v2, score the cleaning where the dirt is known."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from kochat.cleaning.cleaner import clean, find_sources
from kochat.cleaning.ledger import SUMMARY_FILE, Report
from kochat.cleaning.row_rules import load_settings
from kochat.cleaning.workers import available_cores
from kochat.data.files import TEST_FILE
from kochat.errors import UserError
from kochat.runs import RunSpace, Source
from kochat.storage import write_json
from kochat.study.plan import SAMPLE

_ORIGIN_FILE = "origin.json"


def prepare_raw(raw: Path | None, out: Path, download: bool, sample: bool, seed: int) -> Path:
    """Return the folder of raw data for `clean`, after writing the embedded world or fetching KoChatGPT's files into it.

    Raises:
        UserError: when no raw data is named, or it cannot be had.
    """
    if raw is None and not (download or sample):
        raise UserError(
            "clean: name the raw data's folder, or give --sample (the embedded world) or --download (KoChatGPT's files)"
        )
    folder = raw or out.parent / "v1"
    if sample:
        _write_sample(folder, "quickstart", seed)
    if download:
        from kochat.cleaning.kochatgpt_files import download as fetch

        fetch(folder)
    return folder


def clean_command(
    raw: Path | None,
    out: Path,
    config: Path | None,
    download: bool,
    sample: bool,
    seed: int,
    workers: int | None = None,
    corrections: Path | None = None,
    tokenizer: str | None = None,
) -> Report:
    """Run ``clean``: prepare the raw data, clean it into ``out`` with ``workers`` processes (all cores where None)."""
    settings = load_settings(config)
    return clean(
        prepare_raw(raw, out, download, sample, seed),
        out,
        settings,
        progress=True,
        workers=available_cores() if workers is None else workers,
        corrections=corrections,
        tokenizer=None if tokenizer is None else _load_tokenizer(tokenizer),
    )


def explain_command(rule: str, raw: Path | None, out: Path, *cleaning: Any) -> None:
    """Run ``clean --explain``: print what a rule did, from the ledger in ``out``, or from cleaning ``raw`` without keeping it."""
    import tempfile

    from kochat.cleaning.explanation import check_rule, explain

    check_rule(rule)
    width = shutil.get_terminal_size((120, 40)).columns
    _, download, sample, *_ = cleaning
    if not (raw or download or sample):
        print(explain(out, rule, width))
        return
    raw = raw or out.parent / "v1"
    with tempfile.TemporaryDirectory(prefix="kochat-clean-") as folder:
        clean_command(raw, Path(folder) / "v2", *cleaning)
        print(explain(Path(folder) / "v2", rule, width))


def _load_tokenizer(source: str) -> Any:
    """Load the tokenizer of a folder, run or hub id (of which no weights are fetched).

    The room of data may not import that of models, so this one hands the tokenizer over.
    """
    from kochat.nn.tokenizers import load_tokenizer

    found = Source(source, Path(source)) if Path(source).is_dir() else RunSpace().require_source("--tokenizer", source)
    return load_tokenizer(found.directory or _fetch_tokenizer(source))


def _fetch_tokenizer(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=["tokenizer*", "special_tokens_map.json"]))
    except Exception as error:  # the hub's client raises many kinds: offline, unknown, gated
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"--tokenizer: {hub_id!r} is neither in the local cache nor could it be fetched ({reason}); connect to the "
            "network, or give a tokenizer's folder"
        ) from error


def prepare_study(data_dir: Path, raw: str | Path, sample_size: str, seed: int) -> dict[str, Any]:
    """Fill ``data_dir/v1`` and ``data_dir/v2`` for a study and describe them for its report.

    What is there already and has the same origin is kept; v2 is written again, since cleaning gives the same files.

    Returns:
        ``summary``: the path of the cleaning's counts; ``dirt_scores``: recall and precision by kind of dirt (embedded world).

    Raises:
        UserError: when the raw data is missing or wrong.
    """
    v1, v2 = data_dir / "v1", data_dir / "v2"
    if str(raw) == SAMPLE:
        _write_sample(v1, sample_size, seed)
    else:
        _copy_raw(Path(raw), v1)
    clean(v1, v2, progress=False)
    scores = None
    if str(raw) == SAMPLE:
        from kochat.study.dirt_recall import dirt_scores

        scores = dirt_scores(v1, v2)
    return {"summary": str(v2 / SUMMARY_FILE), "dirt_scores": scores}


def _write_sample(folder: Path, size: str, seed: int) -> None:
    """Write the embedded world, unless the folder holds other data."""
    from kochat.world.generator import write_sample

    _claim(folder, SAMPLE)
    write_sample(folder, seed, size)


def _copy_raw(raw: Path, folder: Path) -> None:
    """Copy raw files, so that v1 and v2 stand side by side and the user's own are never touched."""
    sources = find_sources(raw)
    if raw.resolve() == folder.resolve():
        return
    origin = str(raw.resolve())
    _claim(folder, origin)
    for path in [*sources, raw / TEST_FILE]:
        if path.is_file():
            shutil.copyfile(path, folder / path.name)


def _claim(folder: Path, origin: str) -> None:
    """Write down where a folder's data comes from, before the data: what was interrupted can then be written again."""
    _refuse_other_origin(folder, origin)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _ORIGIN_FILE, {"origin": origin})


def _refuse_other_origin(folder: Path, origin: str) -> None:
    """Stop rather than write over data that came from elsewhere."""
    import json

    if not folder.is_dir() or not any(folder.iterdir()):
        return
    marker = folder / _ORIGIN_FILE
    known = json.loads(marker.read_text(encoding="utf-8")).get("origin") if marker.is_file() else "somewhere else"
    if known != origin:
        raise UserError(
            f"{folder}: holds data from {known}, not from {origin}; choose another data_dir or move that folder away"
        )

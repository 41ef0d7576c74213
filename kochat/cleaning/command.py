"""The command ``clean``: prepare the raw data, clean it, and show the result. It imports torch only if a tokenizer is given."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kochat.cleaning.cleaner import clean
from kochat.cleaning.explanation import check_rule, explain
from kochat.cleaning.ledger import Report
from kochat.cleaning.raw_folder import write_embedded_world
from kochat.cleaning.settings import load_settings
from kochat.cleaning.tokenizer_source import tokenizer_of
from kochat.cleaning.workers import available_cores
from kochat.errors import UserError


@dataclass(frozen=True, kw_only=True)
class CleanOptions:
    """The options of ``clean`` on the command line.

    Args:
        out: the folder for the cleaned files (v2).
        raw: the folder of raw data (v1), or one file. If None, `sample` and `download` use the folder ``v1`` next to `out`.
        config: a YAML file of switches and thresholds.
        download: fetch KoChatGPT's files into `raw` first.
        sample: write the embedded world into `raw` first.
        seed: the seed of the embedded world.
        workers: number of processes; None uses one for each core.
        corrections: a file of rows to correct or drop.
        tokenizer: a tokenizer's folder or hub id, for the bound ``max_tokens``.
        html: also write the ledger as an HTML page.
        explain: the rule to show examples of; no output is kept then.
    """

    out: Path
    raw: Path | None = None
    config: Path | None = None
    download: bool = False
    sample: bool = False
    seed: int = 0
    workers: int | None = None
    corrections: Path | None = None
    tokenizer: str | None = None
    html: bool = False
    explain: str | None = None

    @property
    def has_raw(self) -> bool:
        """Return whether there is anything to clean."""
        return bool(self.raw or self.download or self.sample)


def run_clean(options: CleanOptions) -> None:
    """Run the command and print its result. Raises UserError if the input is wrong, RunError if a worker process died."""
    if options.explain is not None:
        print(explained(options, options.explain))
        return
    if options.has_raw or not options.html:
        print(cleaned(options).table())
    if options.html:
        from kochat.cleaning.ledger_page import write_page

        print(f"kochat: {write_page(options.out)}")
    print(f"kochat: {options.out}")


def cleaned(options: CleanOptions) -> Report:
    """Prepare the raw data and clean it into `options.out`; return the counts."""
    settings = load_settings(options.config)
    return clean(
        prepare_raw(options),
        options.out,
        settings,
        progress=True,
        workers=available_cores() if options.workers is None else options.workers,
        corrections=options.corrections,
        tokenizer=None if options.tokenizer is None else tokenizer_of(options.tokenizer),
    )


def prepare_raw(options: CleanOptions) -> Path:
    """Return the folder of raw data, after writing the embedded world or fetching KoChatGPT's files into it.

    Raises:
        UserError: if no raw data is named, or it cannot be written or fetched.
    """
    if not options.has_raw:
        raise UserError(
            "clean: name the raw data's folder, or give --sample (the embedded world) or --download (KoChatGPT's files)"
        )
    folder = options.raw or options.out.parent / "v1"
    if options.sample:
        write_embedded_world(folder, "quickstart", options.seed)
    if options.download:
        from kochat.cleaning.kochatgpt_files import download

        download(folder)
    return folder


def explained(options: CleanOptions, rule: str) -> str:
    """Return examples of what `rule` did, from the ledger in `options.out` or from a temporary cleaning of the raw data."""
    check_rule(rule)
    width = shutil.get_terminal_size((120, 40)).columns
    if not options.has_raw:
        return explain(options.out, rule, width)
    raw = options.raw or options.out.parent / "v1"
    with tempfile.TemporaryDirectory(prefix="kochat-clean-") as folder:
        kept_nowhere = dataclasses.replace(options, raw=raw, out=Path(folder) / "v2")
        cleaned(kept_nowhere)
        return explain(kept_nowhere.out, rule, width)

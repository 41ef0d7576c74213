"""Clean raw data (v1) into v2: the same file names, a frozen test set, and a ledger of every change.

Each file is read in two passes. The first pass examines each row alone (:mod:`kochat.cleaning.examination`): it applies the row's
correction, the edits and the rules of one record. The remaining rows of the test split become the frozen test set. The second pass
compares rows (:mod:`kochat.cleaning.comparison`): it drops duplicates and rows that would leak the test set or the report's fixed prompts.

The output folder holds the cleaned files, `test.jsonl` (copied from the raw folder if it has one, else made from the SFT rows of the
test split), `test_preferences.jsonl` (preference records of test prompts), `test_pairs.jsonl` (labelled pairs, copied if the raw
folder has them), `ledger.jsonl`, `summary.json`, `summary.md` and `manifest.json`. All files are first written to a work folder next
to it (:mod:`kochat.cleaning.workspace`); the manifest is moved last.
Cleaning the output again gives the same files. The number of workers does not change the output.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kochat.cleaning.corrections import load_corrections
from kochat.cleaning.ledger import PAGE_FILE, Report
from kochat.cleaning.passes import Cleaning, Inputs
from kochat.cleaning.rules.length import MAX_TOKENS
from kochat.cleaning.settings import CleanSettings
from kochat.cleaning.workspace import Workspace, work_key
from kochat.data.files import (
    CORPUS_FILE,
    PREFERENCE_FILE,
    PROMPT_FILE,
    SFT_FILE,
    TEST_FILE,
    TEST_PAIRS_FILE,
    TEST_PREFERENCE_FILE,
    sha256_of,
    with_compressed,
)
from kochat.data.records import CorpusRecord, PreferenceRecord, PromptRecord, Record, SFTRecord
from kochat.data.row_files import RowError, iter_rows, parse
from kochat.errors import UserError
from kochat.text.tokenizer_identity import tokenizer_digest

TRAINING_FILES: dict[str, type[Record]] = {
    SFT_FILE: SFTRecord,
    PREFERENCE_FILE: PreferenceRecord,
    PROMPT_FILE: PromptRecord,
    CORPUS_FILE: CorpusRecord,
}


def clean(
    raw: str | Path,
    out: str | Path,
    settings: CleanSettings | None = None,
    *,
    progress: bool = False,
    workers: int = 1,
    corrections: str | Path | None = None,
    tokenizer: Any = None,
) -> Report:
    """Clean the folder or the single file `raw` into the folder `out`; return the counts.

    Needs no network.

    Args:
        raw: a folder of training files, or one training file.
        out: the folder for the cleaned files.
        settings: switches and thresholds of the rules; the defaults if None.
        progress: show progress bars.
        workers: number of processes. A script that asks for more than one must guard its main part with
            ``if __name__ == "__main__"``.
        corrections: a file of corrections (:mod:`kochat.cleaning.corrections`).
        tokenizer: a loaded tokenizer; give it if and only if `max_tokens` is set.

    Raises:
        UserError: if the input is wrong, `out` is the raw folder or cannot be written, or every row of a file would be dropped.
            `out` is then unchanged.
        RunError: if a worker process died. The same call continues with the unfinished files, as after Ctrl-C.
    """
    raw, out, settings = Path(raw), Path(out), settings or CleanSettings()
    sources = find_sources(raw)
    folder = raw if raw.is_dir() else raw.parent
    _check_arguments(out, folder, settings, workers, tokenizer)
    given = load_corrections(None if corrections is None else Path(corrections))
    inputs = Inputs(sources, folder, _digests(sources, folder), given, tokenizer)
    try:
        with Workspace(out, _key(inputs, settings)) as workspace:
            report = Cleaning(inputs, settings, workspace, workers=workers, progress=progress).run()
            inputs.check_unchanged()
            workspace.publish(also_stale=(PAGE_FILE,))
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); choose another --out") from error
    return report


def _check_arguments(out: Path, folder: Path, settings: CleanSettings, workers: int, tokenizer: Any) -> None:
    if out.resolve() == folder.resolve():
        raise UserError(f"{out}: is the folder of the raw data; choose another with --out, raw files are never changed")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; --out names the folder for the cleaned files, choose another")
    if workers < 1:
        raise UserError(f"--workers={workers} is too few; give 1 or more")
    if tokenizer is None and settings.thresholds[MAX_TOKENS] is not None:
        raise UserError("clean settings: max_tokens needs a tokenizer; give --tokenizer DIRECTORY_OR_HUB_ID")
    if tokenizer is not None and settings.thresholds[MAX_TOKENS] is None:
        raise UserError(
            "--tokenizer: has no effect because max_tokens is not set; set it in a YAML and give that with --config"
        )


def _digests(sources: dict[Path, type[Record]], folder: Path) -> dict[Path, str]:
    """Return the SHA-256 of every file that is read: the sources, and the raw folder's frozen test set if it has one."""
    frozen = [folder / name for name in (TEST_FILE, TEST_PREFERENCE_FILE, TEST_PAIRS_FILE)]
    return {path: sha256_of(path) for path in [*sources, *filter(Path.is_file, frozen)]}


def _key(inputs: Inputs, settings: CleanSettings) -> str:
    files = {str(path.resolve()): digest for path, digest in inputs.digests.items()}
    tokenizer = None if inputs.tokenizer is None else tokenizer_digest(inputs.tokenizer)
    return work_key(files, settings.as_dict(), inputs.corrections.digest, tokenizer)


def find_sources(raw: Path) -> dict[Path, type[Record]]:
    """Return the training files of `raw` with their record types. Raises UserError if there are none."""
    if not raw.is_dir():
        return {raw: _type_of(raw)}
    paths = {with_compressed(raw / name): model for name, model in TRAINING_FILES.items()}
    found = {path: model for path, model in paths.items() if path.is_file()}
    if not found:
        raise UserError(f"{raw}: holds none of {', '.join(TRAINING_FILES)}; name the folder that does, or one file")
    return found


def _type_of(path: Path) -> type[Record]:
    """Determine the record type of a single file from its name, else from the keys of its first record."""
    for name, model in TRAINING_FILES.items():
        if path.name.startswith(name):
            return model
    try:
        value = parse(path, next(iter_rows(path)))
    except RowError as error:
        raise UserError(f"{path}: {error}") from None
    keys = set(value) if isinstance(value, dict) else set()
    for needed, model in (
        ({"prompt", "ranking"}, PreferenceRecord),
        ({"prompt", "completion"}, SFTRecord),
        ({"prompt"}, PromptRecord),
        ({"text"}, CorpusRecord),
    ):
        if needed <= keys:
            return model
    raise UserError(f"{path}: its first record has no known keys; it needs prompt (and completion or ranking), or text")

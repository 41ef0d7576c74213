"""Clean raw data (v1) into v2: the same file names, a frozen test set, and a ledger of all that was done.

Two passes over each file. The first looks at each row by itself (:mod:`kochat.cleaning.examination`): its correction, the edits, the rules
of one record. What then belongs to the test split becomes the frozen test set. The second looks at each row beside
others (:mod:`kochat.cleaning.comparison`): what would leak the test set or the report's fixed prompts, and duplicates.

The output folder holds the cleaned files, `test.jsonl` (the raw folder's own, else the SFT rows of the test split),
`test_preferences.jsonl` (preference records of test prompts), `ledger.jsonl`, `summary.json`, `summary.md` and
`manifest.json`. Everything is written beside it first (:mod:`kochat.cleaning.workspace`); the manifest comes last. Cleaning the
output again gives the same files, and the number of workers makes no difference to a byte.
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

    Needs no network. `workers` processes share the work; more than one asks of a script that it guards its main part with
    ``if __name__ == "__main__"``. `corrections` is a file of corrections (:mod:`kochat.cleaning.corrections`). `tokenizer`, an object,
    is needed for, and only for, the bound `max_tokens`.

    Raises:
        UserError: where the input is wrong, `out` is the input's own folder or cannot be written, or a whole file would
            be dropped; then `out` is as it was before.
        RunError: where a worker process died; the same call goes on from there, as after Ctrl-C.
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
            "--tokenizer: bounds nothing, as max_tokens is not set; set it in a YAML and give that with --config"
        )


def _digests(sources: dict[Path, type[Record]], folder: Path) -> dict[Path, str]:
    """Return the SHA-256 of every file that is read: the sources, and what the folder brings of a frozen test set."""
    frozen = [folder / name for name in (TEST_FILE, TEST_PREFERENCE_FILE)]
    return {path: sha256_of(path) for path in [*sources, *filter(Path.is_file, frozen)]}


def _key(inputs: Inputs, settings: CleanSettings) -> str:
    files = {str(path.resolve()): digest for path, digest in inputs.digests.items()}
    tokenizer = None if inputs.tokenizer is None else tokenizer_digest(inputs.tokenizer)
    return work_key(files, settings.as_dict(), inputs.corrections.digest, tokenizer)


def find_sources(raw: Path) -> dict[Path, type[Record]]:
    """Return the training files of `raw` with their record types; UserError where there are none."""
    if not raw.is_dir():
        return {raw: _type_of(raw)}
    paths = {with_compressed(raw / name): model for name, model in TRAINING_FILES.items()}
    found = {path: model for path, model in paths.items() if path.is_file()}
    if not found:
        raise UserError(f"{raw}: holds none of {', '.join(TRAINING_FILES)}; name the folder that does, or one file")
    return found


def _type_of(path: Path) -> type[Record]:
    """Tell a single file's type from its name, else from the keys of its first record."""
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

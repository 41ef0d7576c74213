"""Clean raw data (v1) into v2: the same file names, a frozen test set, and a ledger of all that was done.

Rules, in order: the edits of :mod:`kochat.text.cleaning`; length bounds by field; equal completions of a preference
record; what belongs to the test set or is nearly one of its prompts; the report's fixed prompts; exact duplicates.

The output folder holds the cleaned files, `test.jsonl` (the raw folder's own, else the SFT rows of the test split),
`test_preferences.jsonl` (preference records of test prompts), `ledger.jsonl`, `summary.json`, `summary.md` and
`manifest.json`. Everything is written under a temporary name first; the manifest comes last. Cleaning the output again gives
the same files.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from kochat.data.clean_rules import CleanSettings, edit_record, problem
from kochat.data.files import (
    CORPUS_FILE,
    MANIFEST_FILE,
    PREFERENCE_FILE,
    PROMPT_FILE,
    SFT_FILE,
    TEST_FILE,
    TEST_PREFERENCE_FILE,
    open_for_writing,
    with_compressed,
)
from kochat.data.fixed_prompts import FIXED_PROMPTS
from kochat.data.ledger import LEDGER_FILE, SUMMARY_FILE, Ledger, Report
from kochat.data.manifest import manifest, read_outputs
from kochat.data.records import (
    AnswerRecord,
    CorpusRecord,
    PreferenceRecord,
    PromptRecord,
    Record,
    SFTRecord,
    read_records,
)
from kochat.data.rows import iter_rows, parse
from kochat.data.split import Guard, bucket
from kochat.errors import UserError
from kochat.text.normalise import prompt_key

TRAINING_FILES: dict[str, type[Record]] = {
    SFT_FILE: SFTRecord,
    PREFERENCE_FILE: PreferenceRecord,
    PROMPT_FILE: PromptRecord,
    CORPUS_FILE: CorpusRecord,
}


def clean(raw: str | Path, out: str | Path, settings: CleanSettings | None = None, progress: bool = False) -> Report:
    """Clean the folder or the single file `raw` into the folder `out`; return the counts.

    Needs no network and no tokenizer. UserError where the input is wrong, `out` is the input's own folder or cannot be
    written, or a whole file would be dropped; then `out` is as it was before.
    """
    raw, out = Path(raw), Path(out)
    sources = find_sources(raw)
    folder = raw if raw.is_dir() else raw.parent
    if out.resolve() == folder.resolve():
        raise UserError(f"{out}: is the folder of the raw data; choose another with --out, raw files are never changed")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            report = _Cleaning(sources, folder, work, settings or CleanSettings(), progress).run()
            _move_into(work, out)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); choose another --out") from error
    return report


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
    value = parse(path, next(iter_rows(path)))
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


def _move_into(work: Path, out: Path) -> None:
    """Move finished files into `out`, the manifest last; what an earlier manifest names and is no more is removed."""
    out.mkdir(parents=True, exist_ok=True)
    stale = set(read_outputs(out) or ()) - {path.name for path in work.iterdir()}
    for path in sorted(work.iterdir(), key=lambda path: path.name == MANIFEST_FILE):
        os.replace(path, out / path.name)
    for name in stale:
        (out / Path(name).name).unlink(missing_ok=True)


class _Cleaning:
    """One cleaning: first the test set, then every file against it."""

    def __init__(
        self, sources: dict[Path, type[Record]], folder: Path, work: Path, settings: CleanSettings, progress: bool
    ) -> None:
        self.sources, self.folder, self.work = sources, folder, work
        self.settings, self.progress = settings, progress
        self.fixed = Guard(FIXED_PROMPTS.values(), label="fixed prompt")

    def run(self) -> Report:
        """Write everything into the work folder."""
        answers = list(_first_by_prompt(self._answers()))
        self.test = Guard(answer.prompt for answer in answers)
        preferences = list({record.texts(): record for record in self._preferences()}.values())
        self.test_preferences = Guard(record.texts()[0] for record in preferences)
        frozen: dict[str, Iterable[Record]] = {TEST_FILE: answers, TEST_PREFERENCE_FILE: preferences}
        outputs = [self._write(name, rows) for name, rows in frozen.items() if rows]
        with open_for_writing(self.work / LEDGER_FILE) as stream:
            ledger = Ledger(stream)
            ledger.report.test_rows, ledger.report.test_preferences = len(answers), len(preferences)
            for path, model in self.sources.items():
                kept = self._kept(path, model, ledger)
                outputs.append(self._write(path.name, tqdm(kept, path.name, disable=not self.progress, unit=" rows")))
                _check_not_all_dropped(path, ledger.report)
        self._finish(outputs, ledger.report)
        return ledger.report

    def _finish(self, outputs: list[Path], report: Report) -> None:
        summary = json.dumps(report.as_dict(), ensure_ascii=False, indent=1)
        (self.work / SUMMARY_FILE).write_text(summary + "\n", encoding="utf-8")
        (self.work / "summary.md").write_text(report.table() + "\n", encoding="utf-8")
        inputs = [*self.sources, *(p for n in (TEST_FILE, TEST_PREFERENCE_FILE) if (p := self.folder / n).is_file())]
        content = manifest(inputs, outputs, dataclasses.asdict(self.settings))
        (self.work / MANIFEST_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def _write(self, name: str, records: Iterable[Record]) -> Path:
        with open_for_writing(self.work / name) as stream:
            for record in records:
                stream.write(json.dumps(record.model_dump(), ensure_ascii=False) + "\n")
        return self.work / name

    def _path_of(self, model: type[Record]) -> Path | None:
        return next((path for path, its in self.sources.items() if its is model), None)

    def _sound(self, path: Path, model: type[Record]) -> Iterator[Record]:
        """Yield the edited records of a file that no rule of their own drops."""
        for record in read_records(path, model):
            edited, _ = edit_record(record)
            if problem(edited, self.settings) is None:
                yield edited

    def _answers(self) -> Iterator[AnswerRecord]:
        """Yield the raw folder's test set, or make one of the SFT rows in the test split."""
        given, sft = self.folder / TEST_FILE, self._path_of(SFTRecord)
        if given.is_file():
            yield from read_records(given, AnswerRecord, max_bad_share=0)
        elif sft is not None:
            for record in self._sound(sft, SFTRecord):
                prompt, completion = record.texts()
                if bucket(prompt) == "test" and self.fixed.reason(prompt) is None:
                    yield AnswerRecord(id=record.key, prompt=prompt, completion=completion, kind="held_out")

    def _preferences(self) -> Iterator[Record]:
        """Yield the preference records of test prompts: those set aside before, and those of the raw file."""
        given, raw = self.folder / TEST_PREFERENCE_FILE, self._path_of(PreferenceRecord)
        if given.is_file():
            yield from read_records(given, PreferenceRecord, max_bad_share=0)
        if raw is not None:
            for record in self._sound(raw, PreferenceRecord):
                prompt = record.texts()[0]
                if self._held_out(prompt) and self.fixed.reason(prompt) is None:
                    yield record

    def _held_out(self, prompt: str) -> bool:
        return bucket(prompt) == "test" or self.test.exact(prompt)

    def _kept(self, path: Path, model: type[Record], ledger: Ledger) -> Iterator[Record]:
        """Yield the records that stay, writing everything else about them into the ledger."""
        counts = ledger.open_file(path.name)
        first_at: dict[int, int] = {}
        for index, record in enumerate(read_records(path, model)):
            counts.read += 1
            edited, edits = edit_record(record)
            for each in edits:
                ledger.changed(path.name, index, each.rule, each.field, each.before, each.after)
            if edits:
                ledger.count_changed(path.name, {each.rule for each in edits})
            found = problem(edited, self.settings) or self._leak(edited) or _duplicate(edited, index, first_at)
            if found:
                ledger.dropped(path.name, index, *found, record.model_dump())
            else:
                counts.kept += 1
                yield edited

    def _leak(self, record: Record) -> tuple[str, str] | None:
        """Return (rule, reason) where training on `record` would show the test set or a fixed prompt."""
        if isinstance(record, CorpusRecord):
            return None
        prompt = record.texts()[0]
        if reason := self.fixed.reason(prompt):
            return "fixed_prompt", reason
        if self._held_out(prompt):
            return "held_out", "its prompt belongs to the test split"
        reason = self.test.reason(prompt)
        if reason is None and isinstance(record, PreferenceRecord):
            reason = self.test_preferences.reason(prompt)
        return ("near_test", reason) if reason else None


def _first_by_prompt(answers: Iterable[AnswerRecord]) -> Iterator[AnswerRecord]:
    seen: set[str] = set()
    for answer in answers:
        key = prompt_key(answer.prompt)
        if key not in seen:
            seen.add(key)
            yield answer


def _duplicate(record: Record, index: int, first_at: dict[int, int]) -> tuple[str, str] | None:
    """Return (rule, reason) where the same texts stood in an earlier row; prompts compare by their keys."""
    first, *rest = record.texts()
    # A 64-bit hash in place of the texts keeps a million rows in bounded memory.
    key = hash((first if isinstance(record, CorpusRecord) else prompt_key(first), *rest))
    earlier = first_at.setdefault(key, index)
    return None if earlier == index else ("exact_duplicate", f"same as row {earlier}")


def _check_not_all_dropped(path: Path, report: Report) -> None:
    counts = report.files[path.name]
    if counts.kept == 0:
        rule = max(counts.dropped_by, key=lambda name: counts.dropped_by[name])
        raise UserError(f"{path}: every one of its {counts.read} records was dropped, most by {rule}; check the bounds")

"""Run the two passes of a cleaning over all files, and make the frozen test set between them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kochat.cleaning.comparison import Comparison, EarlierRows, Lines, compare
from kochat.cleaning.corrections import Corrections
from kochat.cleaning.examination import BATCH_ROWS, Examination, batches, examine
from kochat.cleaning.leaks import Guards
from kochat.cleaning.ledger import LEDGER_FILE, SUMMARY_FILE, TABLE_FILE, FileCounts, FileLedger, Report
from kochat.cleaning.settings import CleanSettings
from kochat.cleaning.workers import Workers, useful_workers
from kochat.cleaning.workspace import Workspace
from kochat.data.files import MANIFEST_FILE, TEST_FILE, TEST_PAIRS_FILE, TEST_PREFERENCE_FILE
from kochat.data.labelled_pairs import read_pairs
from kochat.data.manifest import manifest_of
from kochat.data.records import AnswerRecord, BadRows, PairRecord, PreferenceRecord, Record, SFTRecord, read_records
from kochat.data.row_files import iter_rows
from kochat.errors import UserError
from kochat.text.tokenizer_identity import tokenizer_digest
from kochat.text.unicode_form import prompt_key


@dataclass
class Inputs:
    """What is cleaned: the files with their record types, their folder, and the SHA-256 of every file that is read."""

    sources: dict[Path, type[Record]]
    folder: Path
    digests: dict[Path, str]
    corrections: Corrections
    tokenizer: Any = None
    _stamps: dict[Path, tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self._stamps = {path: _stamp(path) for path in self.digests}

    def check_unchanged(self) -> None:
        """Raise UserError if an input file was changed since the cleaning began."""
        for path, stamp in self._stamps.items():
            if not path.is_file() or _stamp(path) != stamp:
                raise UserError(
                    f"{path}: was changed while it was cleaned; clean again when it is no longer written to"
                )

    def size(self) -> int:
        """Return the total size of the sources in bytes."""
        return sum(self._stamps[path][0] for path in self.sources)


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


class Cleaning:
    """One cleaning: first pass, test set, second pass. After an interruption, a file whose pass was finished is not processed again."""

    def __init__(
        self, inputs: Inputs, settings: CleanSettings, workspace: Workspace, *, workers: int, progress: bool
    ) -> None:
        self._inputs, self._settings, self._workspace = inputs, settings, workspace
        self._workers = useful_workers(workers, inputs.size())
        self._progress = progress

    def run(self) -> Report:
        """Write all results into the work folder; return the counts."""
        given = self._given(TEST_FILE, AnswerRecord)
        pairs = self._given_pairs()
        told = self._examine_all(frozenset(prompt_key(row.prompt) for row in (*given, *pairs)))
        held_out = {model: told[path.name]["held_out"] for path, model in self._inputs.sources.items()}
        if not given:
            given = [_answer(SFTRecord(**values)) for values in held_out.get(SFTRecord, [])]
        answers = list({prompt_key(answer.prompt): answer for answer in reversed(given)}.values())[::-1]
        preferences = self._given(TEST_PREFERENCE_FILE, PreferenceRecord)
        preferences += [PreferenceRecord(**values) for values in held_out.get(PreferenceRecord, [])]
        preferences = list({record.texts(): record for record in preferences}.values())
        outputs = self._write_frozen({TEST_FILE: answers, TEST_PREFERENCE_FILE: preferences, TEST_PAIRS_FILE: pairs})
        report = Report(test_rows=len(answers), test_preferences=len(preferences), test_pairs=len(pairs))
        tested = ([*answers, *pairs], preferences)
        prompts = (tuple(record.prompt for record in records) for records in tested)
        report.files = self._compare_all(Comparison(self._settings, Guards(*prompts)))
        self._finish([*outputs, *(self._result(path) for path in self._inputs.sources)], report)
        return report

    def _given(self, name: str, model: type[Any]) -> list[Any]:
        """Read a file of the raw folder's own frozen test set, if it has one; no bad row is skipped here."""
        path = self._inputs.folder / name
        return list(read_records(path, model, max_bad_share=0)) if path in self._inputs.digests else []

    def _given_pairs(self) -> list[PairRecord]:
        """Read the raw folder's labelled pairs, if it has any; they are not edited, and none is dropped."""
        path = self._inputs.folder / TEST_PAIRS_FILE
        return read_pairs(path) if path in self._inputs.digests else []

    # First pass

    def _examine_all(self, test_keys: frozenset[str]) -> dict[str, Any]:
        known = Examination(self._settings, self._inputs.corrections, test_keys, self._inputs.tokenizer)
        with Workers(self._workers, known) as workers:
            told = {path.name: self._examine(path, model, workers) for path, model in self._inputs.sources.items()}
        self._inputs.corrections.check_all_used({row for each in told.values() for row in each["corrected"]})
        return told

    def _examine(self, path: Path, model: type[Record], workers: Workers[Examination]) -> Any:
        """Examine the rows of a file; return the number of rows read, the rows held out for test and the corrections used."""
        told = self._workspace.finished(f"examined-{path.name}")
        if told is not None:
            return told
        bad, held_out, corrected = BadRows(), [], []
        tasks = batches(path, model, iter_rows(path))
        with self._workspace.writing(self._examined(path)) as stream, self._bar(path, "1/2") as bar:
            for found in workers.map(examine, tasks):
                stream.write(b"".join(found.lines).decode("utf-8"))
                bad.read += len(found.lines)
                for place, fault in found.bad:
                    bad.add(place, fault)
                held_out += found.held_out
                corrected += found.corrected
                bar.update(len(found.lines))
        bad.check(path)
        told = {"read": bad.read, "held_out": held_out, "corrected": corrected}
        self._workspace.finish(f"examined-{path.name}", told)
        return told

    def _examined(self, path: Path) -> Path:
        return self._workspace.folder / f"examined-{path.name}.jsonl"

    # Second pass

    def _compare_all(self, known: Comparison) -> dict[str, FileCounts]:
        with Workers(self._workers, known) as workers:
            return {path.name: self._compare(path, model, workers) for path, model in self._inputs.sources.items()}

    def _compare(self, path: Path, model: type[Record], workers: Workers[Comparison]) -> FileCounts:
        """Keep or drop every row of a file; write the cleaned file and its part of the ledger."""
        told = self._workspace.finished(f"compared-{path.name}")
        if told is not None and self._result(path).is_file():
            return FileCounts(**told)
        earlier, total = EarlierRows(model, self._settings), self._workspace.finished(f"examined-{path.name}")["read"]
        with (
            self._examined(path).open("rb") as examined,
            self._workspace.writing(self._ledger(path)) as ledger_stream,
            self._workspace.writing(self._result(path)) as stream,
            self._bar(path, "2/2", total) as bar,
        ):
            ledger = FileLedger(path.name, ledger_stream)
            tasks = iter(lambda: list(islice(examined, BATCH_ROWS)), [])
            for batch in workers.map(compare, (Lines(model, lines) for lines in tasks)):
                for row, found in zip(batch.rows, earlier.judge(batch), strict=True):
                    ledger.record(row, found)
                    if found is None:
                        stream.write(json.dumps(row.after, ensure_ascii=False) + "\n")
                bar.update(len(batch.rows))
        ledger.counts.check()
        _check_not_all_dropped(path, ledger.counts)
        self._workspace.finish(f"compared-{path.name}", dataclasses.asdict(ledger.counts))
        return ledger.counts

    def _ledger(self, path: Path) -> Path:
        return self._workspace.folder / f"ledger-{path.name}.jsonl"

    def _result(self, path: Path) -> Path:
        return self._workspace.results / path.name

    # Outputs for all files together

    def _write_frozen(self, files: dict[str, list[Any]]) -> list[Path]:
        written = []
        for name, records in files.items():
            if records:
                written.append(self._workspace.results / name)
                with self._workspace.writing(written[-1]) as stream:
                    stream.writelines(json.dumps(record.model_dump(), ensure_ascii=False) + "\n" for record in records)
        return written

    def _finish(self, outputs: list[Path], report: Report) -> None:
        """Write the ledger, the counts and the manifest."""
        with self._workspace.writing(self._workspace.results / LEDGER_FILE) as stream:
            for path in self._inputs.sources:
                with self._ledger(path).open(encoding="utf-8", newline="\n") as part:
                    stream.writelines(part)
        inputs = {path.name: digest for path, digest in self._inputs.digests.items()}
        tokenizer = self._inputs.tokenizer
        content = manifest_of(
            inputs,
            outputs,
            self._settings.as_dict(),
            self._inputs.corrections.digest,
            None if tokenizer is None else tokenizer_digest(tokenizer),
        )
        texts = {
            SUMMARY_FILE: json.dumps(report.as_dict(), ensure_ascii=False, indent=1),
            TABLE_FILE: report.table(),
            MANIFEST_FILE: json.dumps(content, indent=1),
        }
        for name, text in texts.items():
            with self._workspace.writing(self._workspace.results / name) as stream:
                stream.write(text + "\n")

    def _bar(self, path: Path, step: str, total: int | None = None) -> Any:
        """Return a progress bar that counts rows; it is shown only on a terminal, so that a log holds only messages."""
        return tqdm(desc=f"{path.name} {step}", total=total, unit=" rows", disable=None if self._progress else True)


def _answer(record: SFTRecord) -> AnswerRecord:
    return AnswerRecord(id=record.key, prompt=record.prompt, completion=record.completion, kind="held_out")


def _check_not_all_dropped(path: Path, counts: FileCounts) -> None:
    if counts.kept == 0:
        rule = max(counts.dropped_by, key=lambda name: counts.dropped_by[name])
        raise UserError(f"{path}: every one of its {counts.read} records was dropped, most by {rule}; check the bounds")

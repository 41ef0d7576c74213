"""Ranked completions for the reward model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset, Features, Value
from datasets import Sequence as ListOf
from torch.utils.data import DataLoader

from kochat.data.collators import CompletionCollator, LabelledPairCollator, PreferenceCollator
from kochat.data.datamodule import IDS, TEXT, RowDataModule, chunks
from kochat.data.encoding import encode_prompts, encode_texts, with_eos
from kochat.data.files import PREFERENCE_FILE, SFT_FILE, TEST_PAIRS_FILE, TEST_PREFERENCE_FILE
from kochat.data.heldout import FROZEN_VERSION, TrainingFilter
from kochat.data.labelled_pairs import pairs_of_each_kind, read_pairs
from kochat.data.manifest import verify
from kochat.data.mismatched_answers import OwnAnswer, other_answers
from kochat.data.records import PreferenceRecord, read_records

RECORDS, DEMONSTRATION_SET = 0, 1  # indices of the validation loaders, which Lightning passes to each step
LABELLED_PAIRS = 1  # index of the second test loader; the first has RECORDS
DEMONSTRATIONS = 256  # at most; the standard error of their mean is 1/16 of the scores' standard deviation
DEMONSTRATION_FEATURES = Features({"id": TEXT, "length": Value("int32"), "prompt_ids": IDS, "completion_ids": IDS})
PAIR_TEXTS = ("id", "prompt", "better", "worse", "kind")
PAIR_FEATURES = Features(
    dict.fromkeys(PAIR_TEXTS, TEXT)
    | {"length": Value("int32")}
    | dict.fromkeys(("prompt_ids", "better_ids", "worse_ids"), IDS)
)


class PreferenceDataModule(RowDataModule):
    """Batches of records with three completions each, encoded once, from kochatgpt_2_RM.jsonl.

    Validation is the validation split of the same file; test is v2/test_preferences.jsonl, the cleaned records of test
    prompts, for v1 and v2 alike. `batch_size` counts records; each record has three sequences and three pairs. A second
    validation loader has up to `DEMONSTRATIONS` held-out demonstrations of the version's SFT file, if there is one:
    their mean score becomes the zero of the reward. A second test loader has the pairs of v2/test_pairs.jsonl, labelled by
    kind, if there is this file. In validation and test a record also has the best completion of another record
    (`kochat.data.mismatched_answers`), which is not trained on.
    """

    file_name = PREFERENCE_FILE
    features: ClassVar[Features] = Features(
        {
            "id": TEXT,
            "split": TEXT,
            "length": Value("int32"),
            "prompt": TEXT,
            "completions": ListOf(TEXT),
            "prompt_ids": IDS,
            "completion_ids": ListOf(IDS),
        }
    )
    collator = PreferenceCollator

    def check_files(self) -> None:
        """Refuse required files that are missing, and any file that is damaged."""
        super().check_files()
        raw_folder = self.folder if self.raw else None  # there are no held-out records if no record has a test prompt
        verify(path for path in self.used_files() if path.parent != raw_folder)

    def setup(self, stage: str) -> None:
        """Choose the rows of each split, and give held-out rows an answer to another prompt."""
        super().setup(stage)
        for split in ("validation", "test"):
            if "other_ids" not in self._tables[split].column_names:
                self._tables[split] = self._with_others(self._tables[split])

    def _with_others(self, table: Dataset) -> Dataset:
        """Add the columns ``other`` and ``other_ids``: the best completion of another record, None where there is none."""
        columns = table[:]
        best = [ids[0] for ids in columns["completion_ids"]]
        texts = [completions[0] for completions in columns["completions"]]
        rows = zip(columns["id"], columns["prompt"], texts, map(len, best), strict=True)
        chosen = other_answers([OwnAnswer(*row) for row in rows])
        ids = [
            None if other is None else self._completion_ids(prompt_ids, best[other][:-1])
            for prompt_ids, other in zip(columns["prompt_ids"], chosen, strict=True)
        ]
        others = [None if other is None else texts[other] for other in chosen]
        features = Features({**table.features, "other": TEXT, "other_ids": IDS})
        return Dataset.from_dict({**columns, "other": others, "other_ids": ids}, features=features)

    def _completion_ids(self, prompt_ids: list[int], ids: list[int]) -> list[int]:
        """Return a completion's ids with EOS, cut to the room that the prompt leaves."""
        return with_eos(self.tokenizer, ids, self.options.max_length - len(prompt_ids))

    def training_filter(self) -> TrainingFilter:
        """Return the filter that decides the split of a training row; it also drops near copies of held-out preference prompts."""
        return TrainingFilter(self.data_dir, raw=self.raw, preferences=True)

    def encoded_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the training file, then those held out for test."""
        keep = self.training_filter()
        training = read_records(self.train_file, PreferenceRecord)
        yield from self._encode((record, split) for record in training if (split := keep.split(record.prompt)))
        held_out = self.data_dir / FROZEN_VERSION / TEST_PREFERENCE_FILE
        if held_out.exists():
            yield from self._encode((record, "test") for record in read_records(held_out, PreferenceRecord))

    def _encode(self, rows: Iterable[tuple[PreferenceRecord, str]]) -> Iterator[dict[str, Any]]:
        for chunk in chunks(rows):
            prompts = encode_prompts(
                self.tokenizer, [record.prompt for record, _ in chunk], self.options.max_prompt_length
            )
            completions = encode_texts(self.tokenizer, [text for record, _ in chunk for text in record.ordered])
            for index, ((record, split), prompt_ids) in enumerate(zip(chunk, prompts, strict=True)):
                encoded = [self._completion_ids(prompt_ids, ids) for ids in completions[3 * index : 3 * index + 3]]
                yield {
                    "id": record.key,
                    "split": split,
                    "length": len(prompt_ids) + max(map(len, encoded)),
                    "prompt": record.prompt,
                    "completions": list(record.ordered),
                    "prompt_ids": prompt_ids,
                    "completion_ids": encoded,
                }

    def used_files(self) -> list[Path]:
        """Return the required files, and those of demonstrations, held-out records and labelled pairs if they exist."""
        frozen = self.data_dir / FROZEN_VERSION
        optional = [self.folder / SFT_FILE, frozen / TEST_PREFERENCE_FILE, frozen / TEST_PAIRS_FILE]
        return [*self.required_files(), *(path for path in optional if path.is_file())]

    def val_dataloader(self) -> list[DataLoader]:
        """Return this rank's loader of validation batches, and one of demonstrations (SFT batches) if there are any."""
        records, rows = self._split_loader("validation", shuffle=False), self._demonstrations()
        if not rows:
            return [records]
        table = Dataset.from_list(rows, features=DEMONSTRATION_FEATURES)
        loader = self._loader(table, CompletionCollator(self.pad_id), shuffle=False, shard=True)
        return [records, loader]

    def _demonstrations(self) -> list[dict[str, Any]]:
        """Encode the first demonstrations of the validation split; they do not depend on the stage's row limits."""
        rows = list(self._validation_rows(DEMONSTRATIONS))
        prompts = encode_prompts(self.tokenizer, [row["prompt"] for row in rows], self.options.max_prompt_length)
        completions = encode_texts(self.tokenizer, [row["reference"] for row in rows])
        encoded = []
        for row, prompt_ids, ids in zip(rows, prompts, completions, strict=True):
            completion_ids = self._completion_ids(prompt_ids, ids)
            length = len(prompt_ids) + len(completion_ids)
            encoded.append(
                {"id": row["id"], "length": length, "prompt_ids": prompt_ids, "completion_ids": completion_ids}
            )
        return encoded

    def test_dataloader(self) -> DataLoader | list[DataLoader]:
        """Return this rank's loader of the records held out for test, and one of labelled pairs if the data has any."""
        records = self._split_loader("test", shuffle=False)
        path = self.data_dir / FROZEN_VERSION / TEST_PAIRS_FILE
        if not path.is_file():
            return records
        table = Dataset.from_list(self._labelled_pairs(path), features=PAIR_FEATURES)
        pairs = self._loader(table, LabelledPairCollator(self.pad_id), shuffle=False, shard=True)
        return [records, pairs]

    def _labelled_pairs(self, path: Path) -> list[dict[str, Any]]:
        """Encode the labelled pairs."""
        pairs = pairs_of_each_kind(read_pairs(path), self.options.limits["test"])
        prompts = encode_prompts(self.tokenizer, [pair.prompt for pair in pairs], self.options.max_prompt_length)
        answers = encode_texts(self.tokenizer, [text for pair in pairs for text in (pair.better, pair.worse)])
        encoded = []
        for index, (pair, prompt_ids) in enumerate(zip(pairs, prompts, strict=True)):
            better, worse = (self._completion_ids(prompt_ids, ids) for ids in answers[2 * index : 2 * index + 2])
            length = len(prompt_ids) + max(len(better), len(worse))
            ids = {"prompt_ids": prompt_ids, "better_ids": better, "worse_ids": worse}
            encoded.append({**pair.model_dump(), "length": length, **ids})
        return encoded

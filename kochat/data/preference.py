"""Ranked completions for the reward model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from datasets import Features, Value
from datasets import Sequence as ListOf
from torch.utils.data import DataLoader

from kochat.data.base import IDS, TEXT, ChatDataModule, chunks
from kochat.data.batching import PreferenceCollator
from kochat.data.encode import encode_prompts, encode_texts, with_eos
from kochat.data.files import PREFERENCE_FILE, TEST_PREFERENCE_FILE
from kochat.data.heldout import FROZEN_VERSION, TrainingFilter
from kochat.data.manifest import verify
from kochat.data.records import PreferenceRecord, read_records


class PreferenceDataModule(ChatDataModule):
    """Batches of records with three completions each, encoded once, from kochatgpt_2_RM.jsonl.

    Validation is the validation split of the same file; test is v2/test_preferences.jsonl, the cleaned records of test
    prompts, for v1 and v2 alike. `batch_size` counts records: a batch holds three sequences and three pairs of each.
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

    def _verify(self) -> None:
        super()._verify()
        held_out = self.data_dir / FROZEN_VERSION / TEST_PREFERENCE_FILE
        if held_out.exists():  # there is none where no preference record has a test prompt
            verify([held_out])

    def training_filter(self) -> TrainingFilter:
        """Return what decides the split of a training row; near copies of held-out preference prompts go too."""
        return TrainingFilter(self.data_dir, self.raw, preferences=True)

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
            prompts = encode_prompts(self.tokenizer, [record.prompt for record, _ in chunk], self.max_prompt_length)
            completions = encode_texts(self.tokenizer, [text for record, _ in chunk for text in record.ordered])
            for index, ((record, split), prompt_ids) in enumerate(zip(chunk, prompts, strict=True)):
                room = self.max_length - len(prompt_ids)
                encoded = [with_eos(self.tokenizer, ids, room) for ids in completions[3 * index : 3 * index + 3]]
                yield {
                    "id": record.key,
                    "split": split,
                    "length": len(prompt_ids) + max(map(len, encoded)),
                    "prompt": record.prompt,
                    "completions": list(record.ordered),
                    "prompt_ids": prompt_ids,
                    "completion_ids": encoded,
                }

    def test_dataloader(self) -> DataLoader:
        """Return this rank's batches of the preference records held out for test."""
        return self._split_loader("test")

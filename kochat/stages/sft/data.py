"""Demonstrations for supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from datasets import Features, Value

from kochat.data.collators import CompletionCollator
from kochat.data.datamodule import IDS, TEXT, RowDataModule, chunks
from kochat.data.encoding import encode_prompts, encode_texts, with_eos
from kochat.data.files import SFT_FILE
from kochat.data.records import SFTRecord, read_records


class SFTDataModule(RowDataModule):
    """Batches of prompts with the completions to learn, from kochatgpt_1_SFT.jsonl.

    Validation is the validation split of the same file; test batches are prompts of the frozen test set.
    """

    file_name = SFT_FILE
    features: ClassVar[Features] = Features(
        {"id": TEXT, "split": TEXT, "length": Value("int32"), "prompt_ids": IDS, "completion_ids": IDS}
    )
    collator = CompletionCollator

    def encoded_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the file's rows with their token ids."""
        keep = self.training_filter()
        for chunk in chunks(read_records(self.train_file, SFTRecord)):
            kept = [(record, split) for record in chunk if (split := keep.split(record.prompt))]
            records = [record for record, _ in kept]
            prompts = encode_prompts(
                self.tokenizer, [record.prompt for record in records], self.options.max_prompt_length
            )
            completions = encode_texts(self.tokenizer, [record.completion for record in records])
            for (record, split), prompt_ids, ids in zip(kept, prompts, completions, strict=True):
                completion_ids = with_eos(self.tokenizer, ids, self.options.max_length - len(prompt_ids))
                yield {
                    "id": record.key,
                    "split": split,
                    "length": len(prompt_ids) + len(completion_ids),
                    "prompt_ids": prompt_ids,
                    "completion_ids": completion_ids,
                }

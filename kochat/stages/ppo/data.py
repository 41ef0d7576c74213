"""Prompts for PPO: the policy writes the answers itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from datasets import Features

from kochat.data.collators import PromptCollator
from kochat.data.datamodule import ANSWER_FEATURES, TEXT, RowDataModule, chunks
from kochat.data.encoding import encode_prompts
from kochat.data.files import PROMPT_FILE
from kochat.data.records import PromptRecord, read_records


class PromptDataModule(RowDataModule):
    """Left-padded batches of prompts without references, from kochatgpt_3_PPO.jsonl.

    Validation is the validation split of the same file; test batches are prompts of the frozen test set. `batch_size`
    counts the prompts of a rollout on each rank.
    """

    file_name = PROMPT_FILE
    features: ClassVar[Features] = Features({**ANSWER_FEATURES, "split": TEXT})
    collator = PromptCollator

    def encoded_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the file's prompts with their token ids."""
        keep = self.training_filter()
        for chunk in chunks(read_records(self.train_file, PromptRecord)):
            kept = [(record, split) for record in chunk if (split := keep.split(record.prompt))]
            prompts = encode_prompts(
                self.tokenizer, [record.prompt for record, _ in kept], self.options.max_prompt_length
            )
            for (record, split), prompt_ids in zip(kept, prompts, strict=True):
                yield {
                    "id": record.key,
                    "prompt": record.prompt,
                    "reference": None,
                    "kind": split,
                    "prompt_ids": prompt_ids,
                    "split": split,
                    "length": len(prompt_ids),
                }

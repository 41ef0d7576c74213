"""Prompts for PPO: the policy writes the answers itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from datasets import Features
from torch.utils.data import DataLoader

from kochat.data.collators import PromptCollator
from kochat.data.data_options import RowOptions
from kochat.data.datamodule import ANSWER_FEATURES, TEXT, RowDataModule, StageDataModule, chunks
from kochat.data.encoding import encode_prompts
from kochat.data.files import PROMPT_FILE
from kochat.data.records import PromptRecord, read_records
from kochat.option_fields import count


@dataclass(kw_only=True)
class PromptOptions(RowOptions):
    """`RowOptions` of prompts that the policy answers.

    Args:
        limit_validation: validate on at most this many prompts, chosen by hash, since every validation answers them
            twice; null for all.
    """

    limit_validation: int | None = count(200, "leaves nothing; give 1 or more, or null for all")


class PromptDataModule(RowDataModule):
    """Left-padded batches of prompts without references, from kochatgpt_3_PPO.jsonl.

    Validation is the validation split of the same file; test batches are prompts of the frozen test set. `batch_size`
    counts the prompts of a rollout on each rank. The prompts of a rollout are a uniform draw, of all lengths: with
    prompts of like length reward and KL would jump from rollout to rollout.

    Args:
        options: the fields of `PromptOptions`, as keywords.
    """

    file_name = PROMPT_FILE
    features: ClassVar[Features] = Features({**ANSWER_FEATURES, "split": TEXT})
    collator = PromptCollator
    pool_batches = 1
    options: PromptOptions

    def __init__(self, **options: Any) -> None:
        StageDataModule.__init__(self, PromptOptions(**options))

    def validation_prompts(self, limit: int) -> DataLoader:
        """Return a loader of at most ``limit`` validation prompts, chosen by hash; every rank gets all of them."""
        table = self._tables["validation"]
        ids = table["id"]
        chosen = sorted(range(len(table)), key=lambda index: ids[index])[:limit]
        return self._loader(table.select(chosen), self.collator(self.pad_id), shuffle=False, shard=False)

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

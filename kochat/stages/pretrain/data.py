"""Plain text for pretraining a base model, packed into blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets import Features, Value

from kochat.config_types import DataPath
from kochat.data.collators import BlockCollator
from kochat.data.data_options import DataOptions
from kochat.data.datamodule import IDS, TEXT, StageDataModule, chunks
from kochat.data.encoding import encode_texts
from kochat.data.files import CORPUS_FILE, with_compressed
from kochat.data.records import CorpusRecord, read_records
from kochat.data.row_lengths import RowLengths
from kochat.errors import UserError
from kochat.option_fields import count


@dataclass(kw_only=True)
class CorpusOptions(DataOptions):
    """`DataOptions` of a corpus that is cut into blocks.

    Args:
        path: another corpus file ({text, source} per line; plain, .gz or .xz); null takes corpus.jsonl of the version.
        block_size: tokens per block.
        validation_share: share of the documents that is held out for validation.
        limit_characters: use about this many characters, from documents that are chosen by hash; null for all.
    """

    path: DataPath | None = None
    block_size: int = 256
    validation_share: float = 0.01
    limit_characters: int | None = count(None, "leaves nothing; give 1 or more, or null for all")

    def check(self) -> None:
        """Refuse blocks without a token to predict, and shares out of their range."""
        super().check()
        if self.block_size < 2:
            raise UserError(f"data.block_size={self.block_size} has no token to predict; give 2 or more")
        if not 0 <= self.validation_share < 1:
            raise UserError(f"data.validation_share={self.validation_share} is no share; give one from 0 to under 1")


class CorpusDataModule(StageDataModule):
    """Blocks of corpus text: documents in file order, EOS after each, cut every `block_size` tokens.

    Documents share blocks and are not masked from each other, as in GPT-2's own pretraining. The hash of its text
    decides whether a document belongs to training or validation. Test batches are prompts of the frozen test set, so
    that the base is evaluated like the later models; a corpus given by `path` may have no test set. `batch_size` and
    `limit_train` count blocks.

    Args:
        options: the settings; jsonargparse takes them as keywords.
    """

    file_name = CORPUS_FILE
    features: ClassVar[Features] = Features({"id": TEXT, "split": TEXT, "length": Value("int32"), "input_ids": IDS})
    collator = BlockCollator
    options: CorpusOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(CorpusOptions(**options))
        self.path = None if self.options.path is None else Path(self.options.path)

    @property
    def row_lengths(self) -> RowLengths:
        """The maximum lengths of blocks and prompts, in tokens."""
        room = max(self.options.block_size, self.options.max_prompt_length + 2)
        return RowLengths(room, self.options.max_prompt_length)

    @property
    def train_file(self) -> Path:
        """The corpus file, or its compressed version."""
        return with_compressed(super().train_file) if self.path is None else self.path

    def required_files(self) -> list[Path]:
        """Return the corpus, and the frozen test set unless the corpus was given by path."""
        return [self.train_file, self.test_file] if self.path is None else [self.path]

    def check_files(self) -> None:
        """Refuse files that are missing or damaged; a corpus given by path may have no test set."""
        if self.path is None:
            super().check_files()
        elif missing := self.missing_inputs():
            raise UserError("; ".join(missing))

    def cache_settings(self) -> list[Any]:
        """Return the settings that decide the blocks."""
        return [self.options.block_size, self.options.validation_share, self.options.limit_characters]

    def texts(self, split: str = "train") -> Iterator[str]:
        """Yield the documents of one split, in file order (to train a tokenizer on "train")."""
        return (text for text, its in self._documents() if its == split)

    def _documents(self) -> Iterator[tuple[str, str]]:
        """Yield (text, split) of the documents that `limit_characters` leaves."""
        share = self._share_kept()
        for record in read_records(self.train_file, CorpusRecord):
            digest = hashlib.sha256(record.text.encode()).digest()
            if int.from_bytes(digest[:8], "big") < share * 2**64:
                held_out = int.from_bytes(digest[8:16], "big") < self.options.validation_share * 2**64
                yield record.text, "validation" if held_out else "train"

    def _share_kept(self) -> float:
        """Return the share of documents whose hash keeps them within `limit_characters`, from one pass over the file."""
        if self.options.limit_characters is None:
            return 1.0
        total = sum(len(record.text) for record in read_records(self.train_file, CorpusRecord))
        return min(1.0, self.options.limit_characters / max(1, total))

    def encoded_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the full blocks of both splits, then the last, shorter block of each."""
        open_blocks: dict[str, list[int]] = {"train": [], "validation": []}
        counts = dict.fromkeys(open_blocks, 0)

        def block(split: str) -> dict[str, Any]:
            ids, open_blocks[split] = (
                open_blocks[split][: self.options.block_size],
                open_blocks[split][self.options.block_size :],
            )
            counts[split] += 1
            return {"id": f"{split}-{counts[split]}", "split": split, "length": len(ids), "input_ids": ids}

        for chunk in chunks(self._documents()):
            encoded = encode_texts(self.tokenizer, [text for text, _ in chunk])
            for (_, split), ids in zip(chunk, encoded, strict=True):
                open_blocks[split] += [*ids, self.tokenizer.eos_token_id]
                while len(open_blocks[split]) >= self.options.block_size:
                    yield block(split)
        for split, rest in open_blocks.items():
            if len(rest) > 1:
                yield block(split)

"""What the DataModules of all stages share: files and their checks, splits, the cache, loaders, answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import lightning as L
import torch
from datasets import Dataset, Features, Value
from datasets import Sequence as ListOf
from torch.utils.data import DataLoader

from kochat.data.cache import CACHE_FOLDER, TableRows, digest_of, read_cache, write_cache
from kochat.data.collators import Collator, PromptCollator
from kochat.data.data_options import DataOptions, RowOptions
from kochat.data.encoding import encode_prompts
from kochat.data.files import TEST_FILE, remedy, sha256_of
from kochat.data.fixed_prompts import FIXED_PROMPTS
from kochat.data.heldout import FROZEN_VERSION, TrainingFilter, frozen_rows, validation_rows
from kochat.data.manifest import verify
from kochat.data.row_lengths import RowLengths
from kochat.data.samplers import LengthBucketSampler
from kochat.errors import UserError
from kochat.text.tokenizer_identity import tokenizer_digest

SPLITS = ("train", "validation", "test")
TEXT, IDS = Value("string"), ListOf(Value("int32"))
ANSWER_FEATURES = Features(
    {"id": TEXT, "prompt": TEXT, "reference": TEXT, "kind": TEXT, "prompt_ids": IDS, "length": Value("int32")}
)
_CHUNK = 1000  # rows tokenised at once


class StageDataModule(L.LightningDataModule):
    """Base of the DataModules: raw (v1) or cleaned (v2) files to batches.

    ``<data_dir>/<version>/`` holds the stage's training file, and ``<data_dir>/v2/test.jsonl`` the frozen test set of both
    versions. Cleaned files must match their manifest; of raw files what would leak the test set is left out here. Shuffling
    follows from (seed, epoch) alone, so an epoch can be begun again. `connect` gives the tokenizer before a Trainer runs.

    Args:
        options: the settings.
    """

    file_name: ClassVar[str] = ""
    features: ClassVar[Features]
    collator: ClassVar[type[Collator]]

    def __init__(self, options: DataOptions) -> None:
        super().__init__()
        self.options = options
        self.data_dir = Path(options.data_dir)
        self._tokenizer: Any = None
        self._tables: dict[str, Dataset] = {}
        self._answers: dict[tuple[str, int | None], list[dict[str, Any]]] = {}

    # Files

    @property
    def raw(self) -> bool:
        """Whether the training file is raw (v1), with no manifest to match."""
        return self.options.version == "v1"

    @property
    def folder(self) -> Path:
        """The folder of this version's files."""
        return self.data_dir / self.options.version

    @property
    def train_file(self) -> Path:
        """The file that this stage trains on."""
        return self.folder / self.file_name

    @property
    def test_file(self) -> Path:
        """The frozen test set."""
        return self.data_dir / FROZEN_VERSION / TEST_FILE

    def required_files(self) -> list[Path]:
        """Return the files that this stage reads, without reading any."""
        return [self.train_file, self.test_file]

    def used_files(self) -> list[Path]:
        """Return all files whose content the stage's result follows from; those that may be absent only where they are there."""
        return self.required_files()

    def missing_inputs(self) -> list[str]:
        """Return a message for each required file that is absent, with the command that makes it."""
        return [f"{path}: no such file; {remedy(path)}" for path in self.required_files() if not path.is_file()]

    def check_files(self) -> None:
        """Refuse files that are absent, or not what `clean` wrote.

        Raises:
            UserError: naming them and the command that makes them.
        """
        missing = self.missing_inputs()
        if missing:
            raise UserError("; ".join(missing))
        raw_folder = self.folder if self.raw else None
        verify(path for path in self.required_files() if path.parent != raw_folder)

    # Preparation

    def connect(self, tokenizer: Any) -> None:
        """Take the tokenizer that texts are encoded with; call it before the module is given to a Trainer."""
        self._tokenizer = tokenizer

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that `connect` gave."""
        if self._tokenizer is None:
            raise UserError(f"{type(self).__name__} has no tokenizer; call connect(tokenizer) before it is used")
        return self._tokenizer

    @property
    def row_lengths(self) -> RowLengths:
        """How long rows may be."""
        return RowLengths(None, self.options.max_prompt_length)

    @property
    def pad_id(self) -> int:
        """The padding id; EOS where the tokenizer has none (masks come from lengths, so either will do)."""
        pad = self.tokenizer.pad_token_id
        return self.tokenizer.eos_token_id if pad is None else pad

    def cache_file(self) -> Path:
        """Return the cache's path, named after the files, the tokenizer and the settings that decide its content."""
        digests = [sha256_of(path) for path in self.used_files() if path.is_file()]
        name = type(self).__name__.removesuffix("DataModule").lower()
        parts = (name, digests, tokenizer_digest(self.tokenizer), self.cache_settings())
        return self.data_dir / CACHE_FOLDER / f"{name}-{digest_of(*parts)}.arrow"

    def cache_settings(self) -> list[Any]:
        """Return the settings that decide the cache's content."""
        raise NotImplementedError

    def prepare_data(self) -> None:
        """Check the files and write the cache, in one process."""
        self.check_files()
        write_cache(self.cache_file(), self.features, self.encoded_rows)

    def setup(self, stage: str) -> None:
        """Map the cache into memory and draw each split's rows, in every process."""
        if self._tables:
            return
        table = read_cache(self.cache_file())
        ids, splits = table["id"], table["split"]
        for split in SPLITS:
            chosen = [index for index, its in enumerate(splits) if its == split]
            limit = self.options.limits[split]
            if limit is not None and limit < len(chosen):
                chosen = sorted(sorted(chosen, key=lambda index: ids[index])[:limit])
            self._tables[split] = table.select(chosen)
        if not len(self._tables["train"]) and stage == "fit":
            raise UserError(f"{self.train_file}: no record is left to train on; give more data")

    def encoded_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of all splits with their token ids; `features` names their columns."""
        raise NotImplementedError

    def training_filter(self) -> TrainingFilter:
        """Return what decides the split of a training row."""
        return TrainingFilter(self.data_dir, raw=self.raw)

    # Loaders

    def train_dataloader(self) -> DataLoader:
        """Return shuffled training batches of this rank."""
        return self._split_loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """Return validation batches of this rank."""
        return self._split_loader("validation", shuffle=False)

    def test_dataloader(self) -> DataLoader:
        """Return this rank's batches of the frozen test set and the fixed prompts."""
        return self._answers_loader(frozen_rows(self.data_dir, self.options.limits["test"]), shard=True)

    def predict_dataloader(self) -> DataLoader:
        """Return the batches of `test_dataloader`."""
        return self.test_dataloader()

    def answers_dataloader(self, split: str, limit: int | None = None) -> DataLoader:
        """Return prompt batches with references, the same on every rank.

        "test": the frozen test set and the fixed prompts (kind "fixed", reference None). "validation": the validation
        prompts of this version's SFT file, the same at every stage; none where there is no such file.
        """
        if split not in ("validation", "test"):
            raise ValueError(f"split={split!r}; answers_dataloader knows validation and test")
        if (split, limit) not in self._answers:  # asked for at every validation: read the files once
            rows = frozen_rows(self.data_dir, limit) if split == "test" else self._validation_rows(limit)
            self._answers[split, limit] = list(rows)
        return self._answers_loader(self._answers[split, limit], shard=False)

    def _validation_rows(self, limit: int | None) -> Iterator[dict[str, Any]]:
        keep = TrainingFilter(self.data_dir, raw=self.raw and self.test_file.exists())
        return validation_rows(self.folder, keep, limit)

    def _split_loader(self, split: str, *, shuffle: bool) -> DataLoader:
        table = self._tables[split]
        return self._loader(table, self.collator(self.pad_id), shuffle=shuffle, shard=True)

    def _answers_loader(self, rows: Iterable[dict[str, Any]], *, shard: bool) -> DataLoader:
        rows = list(rows)
        encoded = encode_prompts(self.tokenizer, [row["prompt"] for row in rows], self.options.max_prompt_length)
        rows = [{**row, "prompt_ids": ids, "length": len(ids)} for row, ids in zip(rows, encoded, strict=True)]
        table = Dataset.from_list(rows, features=ANSWER_FEATURES)
        return self._loader(table, PromptCollator(self.pad_id), shuffle=False, shard=shard)

    def _loader(self, table: Dataset, collate: Collator, *, shuffle: bool, shard: bool) -> DataLoader:
        """Make the loader of a table with a column ``length``, for this rank's share or for all rows."""
        trainer = self.trainer if shard else None
        sampler = LengthBucketSampler(
            list(table["length"]),
            self.options.batch_size if shuffle else self.options.eval_batch_size,
            self.options.seed,
            shuffle=shuffle,
            num_replicas=trainer.world_size if trainer else 1,
            rank=trainer.global_rank if trainer else 0,
        )
        return DataLoader(
            TableRows(table),
            batch_size=None,  # the sampler yields whole batches
            sampler=sampler,
            collate_fn=collate,
            num_workers=self.options.num_workers,
            persistent_workers=self.options.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


class RowDataModule(StageDataModule):
    """Base of the DataModules whose rows are a prompt and, most often, a completion.

    Args:
        options: the settings; jsonargparse takes them as keywords.
    """

    options: RowOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(RowOptions(**options))

    @property
    def row_lengths(self) -> RowLengths:
        """How long rows and prompts may be."""
        return RowLengths(self.options.max_length, self.options.max_prompt_length)

    def cache_settings(self) -> list[Any]:
        """Return the settings that decide the rows."""
        options = self.options
        return [options.version, options.max_length, options.max_prompt_length, sorted(FIXED_PROMPTS.values())]


def chunks(items: Iterable[Any], size: int = _CHUNK) -> Iterator[list[Any]]:
    """Yield lists of up to `size` items, so that a tokenizer works on many texts at once in bounded memory."""
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk

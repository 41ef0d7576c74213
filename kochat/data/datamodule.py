"""The base classes of all DataModules: file checks, splits, the cache, and loaders of training rows and of prompts to answer."""

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
from kochat.data.samplers import POOL_BATCHES, LengthBucketSampler
from kochat.errors import UserError
from kochat.text.tokenizer_identity import tokenizer_digest

SPLITS = ("train", "validation", "test")
TEXT, IDS = Value("string"), ListOf(Value("int32"))
ANSWER_FEATURES = Features(
    {"id": TEXT, "prompt": TEXT, "reference": TEXT, "kind": TEXT, "prompt_ids": IDS, "length": Value("int32")}
)
_CHUNK = 1000  # rows tokenised in one call


class StageDataModule(L.LightningDataModule):
    """Base of the DataModules, which turn raw (v1) or cleaned (v2) files into batches.

    ``<data_dir>/<version>/`` holds the stage's training file, and ``<data_dir>/v2/test.jsonl`` the frozen test set of both
    versions. Cleaned files must match their manifest. Rows of raw files that would leak the test set are dropped here. The order of the
    rows depends only on (seed, epoch), so an epoch can be repeated. Call `connect` with the tokenizer before the Trainer runs.

    Args:
        options: the settings.
    """

    file_name: ClassVar[str] = ""
    features: ClassVar[Features]
    collator: ClassVar[type[Collator]]
    pool_batches: ClassVar[int] = POOL_BATCHES  # of the training batches; see `LengthBucketSampler`

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
        """Whether the training file is raw (v1) and so has no manifest."""
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
        """Return the paths of the files that this stage needs; no file is read."""
        return [self.train_file, self.test_file]

    def used_files(self) -> list[Path]:
        """Return all files whose content decides the stage's result: the required files, and optional files that exist."""
        return self.required_files()

    def missing_inputs(self) -> list[str]:
        """Return a message for each missing required file, with the command that makes it."""
        return [f"{path}: no such file; {remedy(path)}" for path in self.required_files() if not path.is_file()]

    def check_files(self) -> None:
        """Check that all required files exist and that cleaned files are unchanged.

        Raises:
            UserError: if a file is missing or differs from what `clean` wrote; it names the file and the command that makes it.
        """
        missing = self.missing_inputs()
        if missing:
            raise UserError("; ".join(missing))
        raw_folder = self.folder if self.raw else None
        verify(path for path in self.required_files() if path.parent != raw_folder)

    # Preparation

    def connect(self, tokenizer: Any) -> None:
        """Set the tokenizer that encodes all texts; call it before the module is given to a Trainer."""
        if tokenizer is not self._tokenizer:
            self._tables.clear()  # token ids of another tokenizer
        self._tokenizer = tokenizer

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that `connect` set; UserError if it was not called."""
        if self._tokenizer is None:
            raise UserError(f"{type(self).__name__} has no tokenizer; call connect(tokenizer) before it is used")
        return self._tokenizer

    @property
    def row_lengths(self) -> RowLengths:
        """The longest rows that the settings allow, in tokens."""
        return RowLengths(None, self.options.max_prompt_length)

    @property
    def pad_id(self) -> int:
        """The padding id, or the EOS id if the tokenizer has none. Masks come from lengths, so both work."""
        pad = self.tokenizer.pad_token_id
        return self.tokenizer.eos_token_id if pad is None else pad

    def cache_file(self) -> Path:
        """Return the path of the cache; its name has a digest of the files, the tokenizer and the settings that decide its content."""
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
        """Map the cache into memory and choose the rows of each split, in every process."""
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
        """Yield the rows of all splits with their token ids; `features` gives their columns."""
        raise NotImplementedError

    def training_filter(self) -> TrainingFilter:
        """Return the filter that decides the split of a training row."""
        return TrainingFilter(self.data_dir, raw=self.raw)

    # Loaders

    def train_dataloader(self) -> DataLoader:
        """Return the loader of this rank's shuffled training batches."""
        return self._split_loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """Return the loader of this rank's validation batches."""
        return self._split_loader("validation", shuffle=False)

    def test_dataloader(self) -> DataLoader | list[DataLoader]:
        """Return the loader of this rank's batches of the frozen test set and the fixed prompts."""
        return self._answers_loader(frozen_rows(self.data_dir, self.options.limits["test"]), shard=True)

    def predict_dataloader(self) -> DataLoader | list[DataLoader]:
        """Return the loader of `test_dataloader`."""
        return self.test_dataloader()

    def answers_dataloader(self, split: str, limit: int | None = None) -> DataLoader:
        """Return a loader of prompt batches with references; every rank gets all prompts.

        Args:
            split: "test" for the frozen test set and the fixed prompts (kind "fixed", reference None); "validation" for the
                validation prompts of this version's SFT file, the same at every stage (none without that file).
            limit: at most this many prompts, the fixed prompts not counted; None for all.

        Raises:
            ValueError: if there is no such split.
        """
        if split not in ("validation", "test"):
            raise ValueError(f"split={split!r}; answers_dataloader knows validation and test")
        if (split, limit) not in self._answers:  # every validation calls this: read the files once
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
        """Make the loader of a table with a column ``length``: this rank's rows if `shard`, else all rows."""
        trainer = self.trainer if shard else None
        sampler = LengthBucketSampler(
            list(table["length"]),
            self.options.batch_size if shuffle else self.options.eval_batch_size,
            self.options.seed,
            shuffle=shuffle,
            pool_batches=self.pool_batches,
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
    """Base of the DataModules whose rows have a prompt and, in most stages, a completion.

    Args:
        options: the settings; jsonargparse takes them as keywords.
    """

    options: RowOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(RowOptions(**options))

    @property
    def row_lengths(self) -> RowLengths:
        """The longest rows and prompts that the settings allow, in tokens."""
        return RowLengths(self.options.max_length, self.options.max_prompt_length)

    def cache_settings(self) -> list[Any]:
        """Return the settings that decide the rows."""
        options = self.options
        return [options.version, options.max_length, options.max_prompt_length, sorted(FIXED_PROMPTS.values())]


def chunks(items: Iterable[Any], size: int = _CHUNK) -> Iterator[list[Any]]:
    """Yield lists of up to `size` items: a tokenizer is fast on many texts at once, and memory stays bounded."""
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk

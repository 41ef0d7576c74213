"""The settings that the DataModules of all stages share."""

from __future__ import annotations

from dataclasses import dataclass

from kochat.config_types import DataPath
from kochat.errors import UserError
from kochat.option_fields import Options, count, whole

_ALL = "leaves nothing; give 1 or more, or null for all"


@dataclass(kw_only=True)
class DataOptions(Options):
    """Which files are read, and how rows are batched.

    Args:
        data_dir: the folder that holds v1/ and v2/.
        version: v1 (raw) or v2 (cleaned).
        batch_size: records in a training batch of one rank.
        eval_batch_size: records in a validation or test batch of one rank.
        max_prompt_length: longest prompt with its template, in tokens; a longer prompt is cut at its end, but keeps the response header.
        seed: seed of the shuffle.
        limit_train: train on at most this many records, chosen by hash; null for all.
        limit_validation: validate on at most this many; null for all.
        limit_test: test on at most this many (the fixed prompts not counted), and on this many labelled pairs of each kind; null for all.
        num_workers: processes that make batches; 0 makes them in the training process.
    """

    data_dir: DataPath = DataPath("data")
    version: str = "v2"
    batch_size: int = count(8)
    eval_batch_size: int = count(16)
    max_prompt_length: int = count(256)
    seed: int = whole(0)
    limit_train: int | None = count(None, _ALL)
    limit_validation: int | None = count(None, _ALL)
    limit_test: int | None = count(None, _ALL)
    num_workers: int = whole(0)

    @classmethod
    def group(cls) -> str:
        """Return the key under which a config holds the data's settings."""
        return "data"

    @property
    def limits(self) -> dict[str, int | None]:
        """Return the maximum number of records of each split, None for all."""
        return {"train": self.limit_train, "validation": self.limit_validation, "test": self.limit_test}


@dataclass(kw_only=True)
class RowOptions(DataOptions):
    """`DataOptions` for rows with a prompt and a completion.

    Args:
        max_length: longest prompt and completion together, in tokens; a longer completion is cut at its end, but keeps EOS.
    """

    max_length: int = count(512)

    def check(self) -> None:
        """Raise UserError if the longest prompt leaves no room for a completion."""
        super().check()
        if self.max_prompt_length > self.max_length - 2:
            raise UserError(
                f"data.max_prompt_length={self.max_prompt_length} leaves no room for a completion and EOS in "
                f"max_length={self.max_length}; lower one or raise the other"
            )

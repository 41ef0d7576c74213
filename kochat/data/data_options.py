"""The settings that the DataModules of all stages share."""

from __future__ import annotations

from dataclasses import dataclass

from kochat.config_types import DataPath
from kochat.errors import UserError


@dataclass(kw_only=True)
class DataOptions:
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
        limit_test: test on at most this many (the fixed prompts not counted); null for all.
        num_workers: processes that make batches; 0 makes them in the training process.
    """

    data_dir: DataPath = DataPath("data")
    version: str = "v2"
    batch_size: int = 8
    eval_batch_size: int = 16
    max_prompt_length: int = 256
    seed: int = 0
    limit_train: int | None = None
    limit_validation: int | None = None
    limit_test: int | None = None
    num_workers: int = 0

    def __post_init__(self) -> None:
        """Check that every number leaves some data.

        Raises:
            UserError: if a number is below 1; it names the field and the remedy.
        """
        self.require_positive("batch_size", "eval_batch_size", "max_prompt_length")
        for name, limit in self.limits.items():
            if limit is not None and limit < 1:
                raise UserError(f"data.limit_{name}={limit} leaves nothing; give 1 or more, or null for all")

    def require_positive(self, *names: str) -> None:
        """Raise UserError if one of the fields `names` is below 1."""
        for name in names:
            if getattr(self, name) < 1:
                raise UserError(f"data.{name}={getattr(self, name)} is too small; give 1 or more")

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

    max_length: int = 512

    def __post_init__(self) -> None:
        """Raise UserError if the longest prompt leaves no room for a completion."""
        super().__post_init__()
        self.require_positive("max_length")
        if self.max_prompt_length > self.max_length - 2:
            raise UserError(
                f"data.max_prompt_length={self.max_prompt_length} leaves no room for a completion and EOS in "
                f"max_length={self.max_length}; lower one or raise the other"
            )

"""A torchmetrics Metric that keeps one row per example, so that results are right when ranks have different numbers of examples.

Under DDP a sampler fills the last batch with examples that another rank has too. An average over ranks would count them
twice. Here rows are kept, and a second row with the same id is dropped at compute.

Only numbers are kept here, as torchmetrics states. Rows of text are gathered by `kochat.engine.rank_rows.gather_rows`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class RowMetric(Metric):
    """Keep one row (id, sufficient statistics) per example; at compute only the first row of each id counts.

    Ids are kept as UTF-8 bytes in a tensor, as only tensors are gathered over ranks.

    Args:
        width: Number of statistics per row, k.
        dtype: Their type.
        **kwargs: As for :class:`torchmetrics.Metric`.
    """

    is_differentiable = False
    full_state_update = False
    id_bytes: list[Tensor]
    id_lengths: list[Tensor]
    statistics: list[Tensor]

    def __init__(self, width: int, dtype: torch.dtype = torch.long, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.row_dtype = dtype
        for state in ("id_bytes", "id_lengths", "statistics"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def append_rows(self, ids: list[str], statistics: Tensor) -> None:
        """Add one row per id, with statistics of shape (n, k).

        Raises:
            ValueError: The statistics do not have the shape (n, k).
        """
        if statistics.shape != (len(ids), self.width):
            raise ValueError(
                f"{len(ids)} ids need statistics of shape ({len(ids)}, {self.width}), not {tuple(statistics.shape)}"
            )
        encoded = [id_.encode() for id_ in ids]
        self.id_bytes.append(torch.tensor(list(b"".join(encoded)), dtype=torch.uint8, device=self.device))
        self.id_lengths.append(torch.tensor([len(id_) for id_ in encoded], dtype=torch.long, device=self.device))
        self.statistics.append(statistics.detach().to(self.device, self.row_dtype))

    def unique_rows(self) -> tuple[list[str], Tensor]:
        """Return the distinct ids, in the order of their first row, and that row's statistics, shape: (n, k)."""
        if not len(self.statistics):
            return [], torch.zeros(0, self.width, dtype=self.row_dtype)
        data = bytes(_cat(self.id_bytes).cpu().tolist())
        first: dict[str, int] = {}
        start = 0
        for row, length in enumerate(_cat(self.id_lengths).tolist()):
            first.setdefault(data[start : start + length].decode(), row)
            start += length
        return list(first), _cat(self.statistics)[list(first.values())].cpu()

    def row_scores(self, statistics: Tensor) -> list[float]:
        """Compute the score of each row of statistics (n, k)."""
        raise NotImplementedError

    def rows(self) -> dict[str, float]:
        """Return {id: score} of this rank's examples; of all ranks inside ``with metric.sync_context():``."""
        ids, statistics = self.unique_rows()
        return dict(zip(ids, self.row_scores(statistics), strict=True))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the rows of all ranks, also if this rank has none.

        torchmetrics replaces an empty list by a 1-d float tensor, which cannot be gathered with 2-d integers.
        """
        if isinstance(self.statistics, list) and not self.statistics:
            self.append_rows([], torch.zeros(0, self.width))
        super().sync(*args, **kwargs)


def _cat(state: list[Tensor] | Tensor) -> Tensor:
    """Return the state as one tensor: a list while it is collected, a tensor once it is synchronised."""
    return state if isinstance(state, Tensor) else torch.cat(state)

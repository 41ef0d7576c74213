"""Run a role on the real tokens of padded rows alone: several rows share one where they fit, and no logit of a pad is made.

Prompts of different lengths and answers that end early leave much of a padded batch empty. Packed rows cannot see each other
(`Role.packed_hidden`), so the numbers are those of the padded pass, to rounding.
"""

from __future__ import annotations

import torch

from kochat.data.batching import first_fit_decreasing
from kochat.models.roles import Role


class PackedRows:
    """Rows of token ids, laid out for a forward pass; the layout is made once and serves every role.

    Args:
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens, which stand together in each row.
        packing: let rows share a row as long as the longest; False runs the padded rows as they are.
    """

    def __init__(self, sequences: torch.Tensor, mask: torch.Tensor, packing: bool = True) -> None:
        self.sequences, self.mask = sequences, mask
        self.segments: torch.Tensor | None = None
        if packing:
            self._pack()

    def _pack(self) -> None:
        """Assign every real token its slot among the packed rows; leave rows as they are where nothing is gained."""
        lengths = self.mask.sum(1).tolist()
        width = max(lengths)
        bins = first_fit_decreasing(lengths, width)
        if len(bins) * width == self.mask.numel():
            return
        starts, segments = [0] * len(lengths), [0] * len(lengths)
        for row, members in enumerate(bins):
            place = row * width
            for segment, member in enumerate(members, 1):
                starts[member], segments[member] = place, segment
                place += lengths[member]
        device = self.mask.device
        offsets = torch.tensor(starts, device=device).unsqueeze(1) + self.mask.long().cumsum(1) - 1
        self.slots = offsets[self.mask]
        self.packed_ids = self.sequences.new_zeros(len(bins) * width)
        self.packed_ids[self.slots] = self.sequences[self.mask]
        self.segments = torch.zeros_like(self.packed_ids)
        self.segments[self.slots] = torch.tensor(segments, device=device).unsqueeze(1).expand_as(self.mask)[self.mask]
        self.shape = (len(bins), width)

    def states(self, role: Role, where: torch.Tensor) -> torch.Tensor:
        """Return a role's last hidden states at some of the real tokens.

        Args:
            role: any role.
            where: (b, t) bool, True on the n tokens that are wanted, all of them real.

        Returns:
            (n, hidden), in the order of the rows.
        """
        if self.segments is None:
            return role.hidden(self.sequences, self.mask)[where]
        hidden = role.packed_hidden(self.packed_ids.view(self.shape), self.segments.view(self.shape))
        return hidden.flatten(0, 1)[self.slots[where[self.mask]]]

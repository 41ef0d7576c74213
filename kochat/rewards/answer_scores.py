"""Score sampled answers with a reward model, each at EOS, where the model read its scores in training."""

from __future__ import annotations

import torch

from kochat.nn.decoding import Generation
from kochat.nn.unpadded import rows_of
from kochat.rewards.reward_models import RewardModel


def ended(
    sequences: torch.Tensor, mask: torch.Tensor, stopped: torch.Tensor, eos_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """End every row with EOS, where reward models read the score: replace a stop token, or append EOS to a cut answer.

    Args:
        sequences: (b, t) token ids.
        mask: (b, t) bool, True on real tokens.
        stopped: (b,) bool, True where the last real token is a stop token.
        eos_id: EOS.

    Returns:
        (sequences, mask): (b, t + 1).
    """
    sequences = torch.cat([sequences, sequences.new_full((len(sequences), 1), eos_id)], dim=1)
    mask = torch.cat([mask, mask.new_zeros(len(mask), 1)], dim=1)
    columns = torch.arange(mask.shape[1], device=mask.device)
    end = ((mask * columns).argmax(dim=1) + (~stopped).long()).unsqueeze(1)
    return torch.where(columns == end, eos_id, sequences), mask | (columns == end)


@torch.no_grad()
def raw_answer_scores(
    model: RewardModel,
    prompts: tuple[torch.Tensor, torch.Tensor],
    answers: Generation,
    eos_id: int,
    *,
    unpad: bool = True,
) -> torch.Tensor:
    """Return the raw score of each sampled answer, (b,) float32; the sampled ids are scored, never decoded and encoded again.

    Args:
        model: the reward model.
        prompts: token ids and mask, (b, p) each, padded on the left.
        answers: the answers to them.
        eos_id: EOS.
        unpad: run the model without padding, and only once on the prompt that answers share; see `UnpaddedRows`.
    """
    sequences = torch.cat([prompts[0], answers.responses], dim=1)
    mask = torch.cat([prompts[1], answers.mask], dim=1)
    return model.raw_scores(rows_of(*ended(sequences, mask, answers.stopped, eos_id), unpad=unpad))

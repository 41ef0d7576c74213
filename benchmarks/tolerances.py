"""Measure the rounding that the start-up checks must let pass, and the error that they must not, at KoGPT2's shape.

    python -m benchmarks.tolerances

Random weights (scaled by 3, so that distributions are far from uniform), four prompts of 3 to 24 tokens, 8 tokens drawn. Prints
mean absolute differences in nats: decoding with a cache against one forward pass, and three more pads against none.
"""

from __future__ import annotations

from unittest import mock

import torch
from transformers import GPT2LMHeadModel

from kochat.nn.backbones import small_gpt2
from kochat.nn.decoding import GenerationSettings, generate
from kochat.nn.roles import Role
from kochat.nn.rows import PaddedRows
from kochat.stages.ppo.rollout import response_logprobs

EOS, PAD, VOCABULARY = 1, 3, 51_200
LENGTHS = torch.tensor([24, 9, 15, 3])


def kogpt2_shape() -> GPT2LMHeadModel:
    """Build a GPT-2 of 12 x 768 with KoGPT2's vocabulary and random weights."""
    torch.manual_seed(0)
    model = small_gpt2(VOCABULARY, EOS, PAD, layers=12, hidden=768, heads=12, positions=1024)
    for parameter in model.parameters():
        parameter.data.mul_(3.0) if parameter.dim() > 1 else None
    return model


@torch.no_grad()
def distances(role: Role) -> tuple[float, float]:
    """Return (decoding against forward, padded against not), nats."""
    width = int(LENGTHS.max())
    ids = torch.randint(10, VOCABULARY, (len(LENGTHS), width), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(width).flip(0) < LENGTHS.unsqueeze(1)
    drawn = generate(role, ids, mask, GenerationSettings(8, 1.0, (EOS,), PAD), torch.Generator().manual_seed(0))
    sequences, full = torch.cat([ids, drawn.responses], 1), torch.cat([mask, drawn.mask], 1)
    pads = torch.full((len(ids), 3), EOS)
    forward = response_logprobs(role, PaddedRows(sequences, full), drawn.mask, 1.0)
    wider = PaddedRows(torch.cat([pads, sequences], 1), torch.cat([pads < 0, full], 1))
    padded = response_logprobs(role, wider, drawn.mask, 1.0)
    one, two = (drawn.logprobs - forward)[drawn.mask], (forward - padded)[drawn.mask]
    return float(one.abs().mean()), float(two.abs().mean())


def main() -> None:
    """Print the table."""
    role = Role("policy", kogpt2_shape())
    rows = {"float32": distances(role)}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rows["bfloat16 (autocast)"] = distances(role)
    counted_from_the_row = lambda mask: torch.arange(mask.shape[1]).expand(mask.shape)  # noqa: E731
    with mock.patch("kochat.nn.roles.position_ids", counted_from_the_row):
        rows["float32, positions not taken from the mask"] = distances(role)
    print("| | decoding against forward | three more pads |\n|---|--:|--:|")
    for name, (decoding, padding) in rows.items():
        print(f"| {name} | {decoding:.1e} | {padding:.1e} |")


if __name__ == "__main__":
    main()

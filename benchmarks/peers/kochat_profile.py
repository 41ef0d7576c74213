"""Where kochat's PPO spends its CPU time: the benchmark's run with a finer meter.

    python -m benchmarks.peers.kochat_profile RUN

Phases are named part/work: part is rollout, score or update; work is forward (the transformer), logits (the LM or scalar head),
logprobs (the LM head with its log-probabilities), draw, backward, clipping, optimizer, rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import torch

from benchmarks.peers import kochat_ppo
from benchmarks.peers.measure import Meter
from kochat.nn import decoding
from kochat.nn.roles import Role
from kochat.stages.ppo.module import PPOModule

ROLE = {  # a role's methods and the work that they are
    "run": "forward",
    "project": "logits",
    "logits": "logits",
    "logprobs": "logprobs",
    "logprobs_and_entropy": "logprobs",
}


class FineMeter(Meter):
    """A meter that splits each part by the work that is done in it."""

    part = "other"

    def enter(self, phase: str) -> str:
        """Begin a part, or go back to one."""
        self.part = phase.split("/")[0]
        return super().enter(phase if "/" in phase or phase in ("other", "checks") else f"{phase}/rest")

    def within(self, function: Callable, work: str) -> Callable:
        """Return the function, its time counted as ``work`` of the part that calls it."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self.part in ("other", "checks"):
                return function(*args, **kwargs)
            before = super(FineMeter, self).enter(f"{self.part}/{work}")
            try:
                return function(*args, **kwargs)
            finally:
                super(FineMeter, self).enter(before)

        return timed


def refine(meter: FineMeter) -> None:
    """Time the functions that the parts are made of."""
    for name, work in ROLE.items():
        setattr(Role, name, meter.within(getattr(Role, name), work))
    L.LightningModule.manual_backward = meter.within(L.LightningModule.manual_backward, "backward")
    PPOModule.on_before_optimizer_step = meter.within(PPOModule.on_before_optimizer_step, "clipping")
    torch.optim.AdamW.step = meter.within(torch.optim.AdamW.step, "optimizer")
    decoding.draw = meter.within(decoding.draw, "draw")  # type: ignore[assignment]


def fine_meter(*, count_flops: bool) -> FineMeter:
    """Return the meter that takes the benchmark's place."""
    meter = FineMeter(count_flops=count_flops)
    refine(meter)
    return meter


def main() -> None:
    """Run once and print the shares."""
    kochat_ppo.Meter = fine_meter
    kochat_ppo.main()


if __name__ == "__main__":
    main()

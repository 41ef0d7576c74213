"""SFT by kochat: `SFTModule` under a Lightning Trainer.

python -m benchmarks.peers.kochat_sft RUN
"""

from __future__ import annotations

import sys

from benchmarks.peers import settings
from benchmarks.peers.kochat_common import adapter, begin, fit
from benchmarks.peers.measure import Meter
from benchmarks.peers.settings import Run
from benchmarks.peers.workload import data_options
from kochat.stages.sft.data import SFTDataModule
from kochat.stages.sft.module import SFTModule


class CountedSFT(SFTModule):
    """SFT that counts real tokens and those that carry loss."""

    meter: Meter

    def training_step(self, batch, batch_idx):
        """Count, then train."""
        self.meter.tokens["real"] += int(batch.lengths.sum())
        self.meter.tokens["trained"] += int(batch.targets.sum())
        return super().training_step(batch, batch_idx)


def main() -> None:
    """Run once and print the result."""
    run = Run.load(sys.argv[1])
    begin(run)
    module = CountedSFT(
        base=str(run.path("base")), lora=adapter(run), learning_rate=settings.LEARNING_RATE, **run.options
    )
    module.meter = meter = Meter(count_flops=run.count_flops)
    data = SFTDataModule(
        batch_size=settings.SFT_BATCH // run.ranks,
        limit_train=run.steps * settings.SFT_BATCH,
        **data_options(run.path("")),
    )
    fit(module, data, meter, run, gradient_clip_val=settings.GRADIENT_CLIP)
    meter.report(work=meter.tokens["real"])


if __name__ == "__main__":
    main()

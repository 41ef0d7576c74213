"""kochat's SFT without Lightning: the same module's loss, optimizer and schedule in a loop written by hand.

python -m benchmarks.peers.bare_sft RUN
"""

from __future__ import annotations

import sys
from itertools import islice
from types import SimpleNamespace

import torch

from benchmarks.peers import settings
from benchmarks.peers.kochat_common import adapter, begin
from benchmarks.peers.measure import Meter
from benchmarks.peers.settings import Run
from benchmarks.peers.workload import data_options
from kochat.engine.optimizers import scheduled_adamw
from kochat.stages.sft.data import SFTDataModule
from kochat.stages.sft.module import SFTModule


def main() -> None:
    """Run once and print the result."""
    run = Run.load(sys.argv[1])
    begin(run)
    module = SFTModule(
        base=str(run.path("base")), lora=adapter(run), learning_rate=settings.LEARNING_RATE, **run.options
    )
    data = SFTDataModule(
        batch_size=settings.SFT_BATCH,
        limit_train=run.steps * settings.SFT_BATCH,
        **data_options(run.path("")),
    )
    module.connect(data)
    data.prepare_data()
    data.setup("fit")
    module.configure_model()
    asked = SimpleNamespace(
        estimated_stepping_batches=run.steps, precision="32-true"
    )  # what the optimizer asks of a Trainer
    groups = [{"params": module.trainable_parameters(), "lr": settings.LEARNING_RATE}]
    built = scheduled_adamw(asked, groups, module.options)
    optimizer, schedule = built["optimizer"], built["lr_scheduler"]["scheduler"]
    meter, trained = Meter(count_flops=run.count_flops), module.trainable_parameters()
    meter.start()
    for batch in islice(data.train_dataloader(), run.steps):
        meter.tokens["real"] += int(batch.lengths.sum())
        meter.tokens["trained"] += int(batch.targets.sum())
        loss, _ = module.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.GRADIENT_CLIP)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    meter.stop()
    meter.report(work=meter.tokens["real"])


if __name__ == "__main__":
    main()

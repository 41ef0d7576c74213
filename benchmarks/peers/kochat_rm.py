"""The reward model by kochat: `RewardModule` under a Lightning Trainer; a record's three completions are encoded once.

python -m benchmarks.peers.kochat_rm RUN
"""

from __future__ import annotations

import sys

from benchmarks.peers import settings
from benchmarks.peers.kochat_common import adapter, begin, fit
from benchmarks.peers.measure import Meter
from benchmarks.peers.settings import Run
from benchmarks.peers.workload import data_options
from kochat.stages.reward_model.data import PreferenceDataModule
from kochat.stages.reward_model.module import RewardModule


class CountedReward(RewardModule):
    """A reward model that counts records."""

    meter: Meter

    def training_step(self, batch, batch_idx):
        """Count, then train."""
        self.meter.tokens["triples"] += len(batch.ids)
        return super().training_step(batch, batch_idx)


def main() -> None:
    """Run once and print the result."""
    run = Run.load(sys.argv[1])
    begin(run)
    module = CountedReward(
        base=str(run.path("base")), lora=adapter(run), learning_rate=settings.LEARNING_RATE, **run.options
    )
    module.meter = meter = Meter(count_flops=run.count_flops)
    data = PreferenceDataModule(
        batch_size=settings.RM_BATCH, limit_train=run.steps * settings.RM_BATCH, **data_options(run.path(""))
    )
    fit(module, data, meter, run, gradient_clip_val=settings.GRADIENT_CLIP)
    triples = meter.tokens.pop("triples")
    meter.tokens["real"] = triple_tokens(run, triples)
    meter.report(work=triples)


def triple_tokens(run: Run, count: int) -> int:
    """Return the tokens of the first records, prompts counted with each of their three completions."""
    rows = run.rows("rm")[:count]
    return sum(3 * len(row["prompt_ids"]) + sum(map(len, row["completion_ids"])) for row in rows)


if __name__ == "__main__":
    main()

"""Evaluation by kochat: `Trainer.test` with `AnswerEvaluation`, which answers the test prompts, scores and writes them.

python -m benchmarks.peers.kochat_answers RUN
"""

from __future__ import annotations

import math
import sys
import tempfile
from importlib import import_module

from benchmarks.peers import settings
from benchmarks.peers.kochat_common import Metering, begin, force_lengths, trainer_for
from benchmarks.peers.lengths import LengthForcer, length_table
from benchmarks.peers.measure import Meter
from benchmarks.peers.settings import Run
from benchmarks.peers.workload import data_options
from kochat.engine.answer_evaluation import AnswerEvaluation
from kochat.stages.sft.data import SFTDataModule
from kochat.stages.sft.module import BaselineModule


class MeteredBaseline(BaselineModule):
    """A base model that answers with forced lengths."""

    meter: Meter
    forcer: LengthForcer

    def test_step(self, batch, batch_idx):
        """Answer one batch."""
        self.forcer.begin()
        with self.meter.phase("answers"):
            output = super().test_step(batch, batch_idx)
        self.forcer.end()
        self.meter.tokens["prompt"] += int(batch.lengths.sum())
        self.meter.tokens["answers"] += len(batch.ids)
        return output


def count_tokens(meter: Meter) -> None:
    """Count the tokens of all answers."""
    module = import_module("kochat.engine.answering")
    generate = module.generate

    def counted(*args, **kwargs):
        result = generate(*args, **kwargs)
        meter.tokens["response"] += int(result.mask.sum())
        return result

    module.generate = counted


class MeteredEvaluation(AnswerEvaluation):
    """The evaluation, its metrics a phase of their own."""

    meter: Meter

    def on_test_epoch_end(self, trainer, pl_module) -> None:
        """Score and write."""
        with self.meter.phase("metrics"):
            super().on_test_epoch_end(trainer, pl_module)


def main() -> None:
    """Run once and print the result."""
    run = Run.load(sys.argv[1])
    begin(run)
    module = MeteredBaseline(base=str(run.path("base")), max_new_tokens=run.response_tokens)
    batch = settings.EVAL_BATCH
    rows = math.ceil(len(run.rows("answers")) / batch)
    module.forcer = LengthForcer(length_table(run.lengths, rows, batch, run.response_tokens))
    force_lengths(module.forcer, module.tokenizer.eos_token_id)
    data = SFTDataModule(eval_batch_size=batch, limit_test=run.steps, **data_options(run.path("")))
    evaluation = MeteredEvaluation()
    module.meter = evaluation.meter = meter = Meter(count_flops=run.count_flops)
    count_tokens(meter)
    module.connect(data)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_for(run, callbacks=[Metering(meter), evaluation], default_root_dir=folder)
        trainer.test(module, datamodule=data, verbose=False)
    meter.report(work=meter.tokens.pop("answers"))


if __name__ == "__main__":
    main()

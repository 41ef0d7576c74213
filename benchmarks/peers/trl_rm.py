"""The reward model by TRL's `RewardTrainer`: each record's three ordered pairs, as many records a step.

python -m benchmarks.peers.trl_rm RUN
"""

from __future__ import annotations

import sys
import tempfile
from itertools import combinations

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification
from trl import RewardConfig, RewardTrainer

from benchmarks.peers import settings
from benchmarks.peers.measure import Meter
from benchmarks.peers.peer_common import Metering, common_arguments, load_tokenizer, lora, quiet, schedule
from benchmarks.peers.settings import Run


def main() -> None:
    """Run once and print the result."""
    run = Run.load(sys.argv[1])
    quiet()
    rows = run.rows("rm")[: run.steps * settings.RM_BATCH]
    triples = [[row["prompt_ids"] + ids for ids in row["completion_ids"]] for row in rows]
    pairs = [pair for triple in triples for pair in combinations(triple, 2)]
    meter = Meter(count_flops=run.count_flops)
    meter.tokens["real"] = sum(len(ids) for triple in triples for ids in triple)
    with tempfile.TemporaryDirectory() as folder:
        arguments = RewardConfig(
            **common_arguments(folder),
            **schedule(run),
            per_device_train_batch_size=3 * settings.RM_BATCH,
            max_length=None,
        )
        trainer = RewardTrainer(
            model=AutoModelForSequenceClassification.from_pretrained(
                run.path("value"), num_labels=1, dtype=torch.float32
            ),
            args=arguments,
            train_dataset=Dataset.from_dict(
                {"chosen_ids": [a for a, _ in pairs], "rejected_ids": [b for _, b in pairs]}
            ),
            processing_class=load_tokenizer(run.path("base"), "right"),
            peft_config=lora("SEQ_CLS") if run.tuning == "lora" else None,
            callbacks=[Metering(meter)],
        )
        trainer.train()
    meter.report(work=len(rows))


if __name__ == "__main__":
    main()

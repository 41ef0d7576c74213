"""SFT by TRL's `SFTTrainer` with packing ("bfd").

python -m benchmarks.peers.trl_sft RUN
"""

from __future__ import annotations

import sys
import tempfile

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer, pack_dataset

from benchmarks.peers import settings
from benchmarks.peers.measure import Meter
from benchmarks.peers.peer_common import Metering, common_arguments, load_tokenizer, lora, quiet, schedule
from benchmarks.peers.settings import Run


def main() -> None:
    """Run once and print the result."""
    run = Run.load(sys.argv[1])
    quiet()
    rows = run.rows("sft")[: run.steps * settings.SFT_BATCH]
    ids = [row["prompt_ids"] + row["completion_ids"] for row in rows]
    masks = [[0] * len(row["prompt_ids"]) + [1] * len(row["completion_ids"]) for row in rows]
    meter = Meter(count_flops=run.count_flops)
    meter.tokens["real"], meter.tokens["trained"] = sum(map(len, ids)), sum(map(sum, masks))
    data = Dataset.from_dict({"input_ids": ids, "completion_mask": masks})
    packed_rows = len(pack_dataset(data, settings.MAX_LENGTH))
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            **common_arguments(folder),
            **schedule(run) | {"max_steps": -1, "num_train_epochs": 1},  # all packed rows, however many there are
            per_device_train_batch_size=max(1, round(packed_rows / run.steps)),
            max_length=settings.MAX_LENGTH,
            packing=True,
            completion_only_loss=True,
        )
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(run.path("base"), dtype=torch.float32),
            args=arguments,
            train_dataset=data,
            processing_class=load_tokenizer(run.path("base"), "right"),
            peft_config=lora("CAUSAL_LM") if run.tuning == "lora" else None,
            callbacks=[Metering(meter)],
        )
        trainer.train()
    meter.report(work=meter.tokens["real"])


if __name__ == "__main__":
    main()

"""SFT by transformers' Trainer. Variants: random batches (its default), or grouped by length.

python -m benchmarks.peers.hf_sft RUN
"""

from __future__ import annotations

import sys
import tempfile

import torch
from datasets import Dataset
from peft import get_peft_model
from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, Trainer, TrainingArguments

from benchmarks.peers import settings
from benchmarks.peers.measure import Meter
from benchmarks.peers.peer_common import Metering, common_arguments, load_tokenizer, lora, quiet, schedule
from benchmarks.peers.settings import Run


def dataset(run: Run) -> Dataset:
    """Return input_ids and labels, -100 on prompts."""
    rows = run.rows("sft")[: run.steps * settings.SFT_BATCH]
    ids = [row["prompt_ids"] + row["completion_ids"] for row in rows]
    labels = [[-100] * len(row["prompt_ids"]) + row["completion_ids"] for row in rows]
    return Dataset.from_dict({"input_ids": ids, "labels": labels, "length": [len(one) for one in ids]})


def main() -> None:
    """Run once and print the result."""
    run = Run.load(sys.argv[1])
    quiet()
    model = AutoModelForCausalLM.from_pretrained(run.path("base"), dtype=torch.float32)
    if run.tuning == "lora":
        model = get_peft_model(model, lora("CAUSAL_LM"))
    meter, data = Meter(count_flops=run.count_flops), dataset(run)
    meter.tokens["real"] = sum(data["length"])
    meter.tokens["trained"] = sum(label != -100 for row in data["labels"] for label in row)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            **common_arguments(folder),
            **schedule(run),
            per_device_train_batch_size=settings.SFT_BATCH,
            train_sampling_strategy="group_by_length" if run.variant == "grouped" else "random",
        )
        collator = DataCollatorForSeq2Seq(load_tokenizer(run.path("base"), "right"))
        Trainer(model, arguments, collator, data, callbacks=[Metering(meter)]).train()
    meter.report(work=meter.tokens["real"])


if __name__ == "__main__":
    main()

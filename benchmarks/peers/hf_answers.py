"""Evaluation by a plain loop over transformers' `generate`, without metrics. Variants: single (a prompt at a time), or batches.

python -m benchmarks.peers.hf_answers RUN
"""

from __future__ import annotations

import math
import sys

import torch
from transformers import AutoModelForCausalLM

from benchmarks.peers import settings
from benchmarks.peers.lengths import LengthForcer, length_table
from benchmarks.peers.measure import Meter
from benchmarks.peers.peer_common import force_lengths, load_tokenizer, quiet
from benchmarks.peers.settings import Run


@torch.no_grad()
def main() -> None:
    """Run once and print the result."""
    run = Run.load(sys.argv[1])
    quiet()
    tokenizer = load_tokenizer(run.path("base"), "left")
    model = AutoModelForCausalLM.from_pretrained(run.path("base"), dtype=torch.float32).eval()
    rows = run.rows("answers")
    asked = [row for row in rows if row["reference"] is not None][: run.steps]
    asked += [row for row in rows if row["reference"] is None]
    batch = 1 if run.variant == "single" else settings.EVAL_BATCH
    table = length_table(run.lengths, math.ceil(len(rows) / batch), batch, run.response_tokens)
    force_lengths(LengthForcer(table), tokenizer.eos_token_id, tokenizer.pad_token_id)
    meter = Meter(count_flops=run.count_flops)
    meter.start()
    for start in range(0, len(asked), batch):
        given = [{"input_ids": row["prompt_ids"]} for row in asked[start : start + batch]]
        inputs = tokenizer.pad(given, return_tensors="pt")
        meter.tokens["prompt"] += int(inputs["attention_mask"].sum())
        output = model.generate(**inputs, max_new_tokens=run.response_tokens, do_sample=False)
        answers = output[:, inputs["input_ids"].shape[1] :]
        meter.tokens["response"] += int((answers != tokenizer.pad_token_id).sum())
        tokenizer.batch_decode(answers, skip_special_tokens=True)
    meter.stop()
    meter.report(work=len(asked))


if __name__ == "__main__":
    main()

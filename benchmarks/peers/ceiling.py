"""Measure what one thread can do at most: a square matrix product in float32 and in bfloat16.

python -m benchmarks.peers.ceiling
"""

from __future__ import annotations

import torch

from benchmarks.peers.measure import Meter, gemm_ceiling


def main() -> None:
    """Print FLOP a CPU-second."""
    torch.set_num_threads(1)
    Meter().report(fp32=gemm_ceiling(), bf16=gemm_ceiling(torch.bfloat16))


if __name__ == "__main__":
    main()

"""Keep frozen matrices in the dtype of their matrix products.

Under mixed precision autocast casts a float32 matrix at every product, and caches the copy only of trained matrices.
RLHF multiplies mostly by frozen bases, at every token of decoding; casting them costs as much memory traffic as the
product itself. If they are cast once, the products are the same bit for bit.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def cast_frozen_matrices(model: nn.Module, precision: str) -> None:
    """Cast the frozen linear layers (nn.Linear, GPT-2's Conv1D) to the dtype of their products under a Trainer's ``precision``.

    Norms, embeddings and heads that are tied to an embedding are not cast, since other operations read them too. A
    partly trained model without adapters is not cast either, because its export contains the frozen part. After the
    cast the model runs only under autocast.
    """
    dtype = AUTOCAST.get(str(precision))
    exported = not hasattr(model, "peft_config") and any(parameter.requires_grad for parameter in model.parameters())
    if dtype is None or exported:
        return
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for module in model.modules():
        if type(module) in (nn.Linear, Conv1D):
            own = list(module.parameters(recurse=False))
            if not any(parameter.requires_grad or id(parameter) in embeddings for parameter in own):
                module.to(dtype)


class CastCopy:
    """A frozen matrix in the dtype of its products: cast at the first use, and again when the matrix has changed."""

    def __init__(self) -> None:
        self._of: tuple[int, int, torch.dtype] | None = None
        self._copy: torch.Tensor | None = None

    def of(self, weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return ``weight`` as ``dtype``; the copy of a frozen weight is cached."""
        if weight.requires_grad or weight.dtype == dtype:
            return weight.to(dtype)
        now = (weight.data_ptr(), weight._version, dtype)
        if self._copy is None or self._of != now:
            self._of, self._copy = now, weight.to(dtype)
        return self._copy

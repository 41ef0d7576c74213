"""Find the trained weights of a module, which its checkpoints hold."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from kochat.errors import UserError


def trained_names(module: nn.Module) -> set[str]:
    """Return the names of the trained parameters; a shared parameter has several names."""
    return {name for name, parameter in module.named_parameters(remove_duplicate=False) if parameter.requires_grad}


def check_keys(module: nn.Module, keys: Collection[str]) -> None:
    """Refuse a checkpoint whose keys are not exactly those of the trained parameters.

    Raises:
        UserError: keys differ; the message says how many, and names the first.
    """
    odd = sorted(trained_names(module) ^ set(keys))
    if odd:
        raise UserError(f"the checkpoint does not fit this run's config: {len(odd)} keys differ, {odd[0]!r} first")

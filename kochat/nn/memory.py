"""Report the memory of roles, and how much they would need if each had its own model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from kochat.nn.roles import Role


@dataclass(frozen=True)
class Holding:
    """The memory of one role, or of a base that roles share.

    Args:
        name: the role, or ``base`` and its digest.
        kind: ``whole model``, ``adapter``, ``adapter + head`` or ``shared by ...``.
        parameters: number of parameters.
        trainable: number of trained parameters.
        weight_bytes: bytes of the weights.
        training_bytes: bytes of gradients and AdamW's two moments, for the trained parameters.
    """

    name: str
    kind: str
    parameters: int
    trainable: int
    weight_bytes: int
    training_bytes: int


def holdings(roles: Sequence[Role]) -> list[Holding]:
    """List the memory of roles and of the bases under their adapters; each parameter counts once."""
    counted: set[int] = set()
    rows = [_holding(role.name, _kind(role), role.parameters(), counted) for role in roles]
    hosts = {id(role.host): role.host for role in roles if role.adapter is not None}
    for host in hosts.values():
        users = [role for role in roles if role.host is host]
        kind = "shared by " + ", ".join(role.name for role in users)
        rows.append(_holding(f"base {users[0].base_digest}".strip(), kind, list(host.parameters()), counted))
    return rows


def separate_bytes(roles: Sequence[Role]) -> int:
    """Return the bytes of the weights if every role had a base of its own."""
    return sum(sum(p.numel() * p.element_size() for p in _all_parameters(role, roles)) for role in roles)


def memory_table(roles: Sequence[Role]) -> str:
    """Return `holdings` as a Markdown table in MiB, with totals and the memory of separate models."""
    rows = holdings(roles)
    lines = [
        "| role | held as | parameters | trainable | weights MiB | gradients and AdamW MiB |",
        "|---|---|--:|--:|--:|--:|",
        *(_line(row) for row in rows),
        _line(
            Holding(
                "all",
                f"{_mebibytes(separate_bytes(roles))} MiB of weights if each role had its own base",
                *(sum(getattr(row, name) for row in rows) for name in _NUMBERS),
            )
        ),
    ]
    return "\n".join(lines)


_NUMBERS = ("parameters", "trainable", "weight_bytes", "training_bytes")


def _line(row: Holding) -> str:
    counts = f"{row.parameters:,} | {row.trainable:,}"
    return f"| {row.name} | {row.kind} | {counts} | {_mebibytes(row.weight_bytes)} | {_mebibytes(row.training_bytes)} |"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.1f}"


def _kind(role: Role) -> str:
    body = "whole model" if role.adapter is None else "adapter"
    return f"{body} + head" if role.head is not None else body


def _holding(name: str, kind: str, parameters: list[nn.Parameter], counted: set[int]) -> Holding:
    """Count the parameters that were not counted before."""
    own = [parameter for parameter in parameters if id(parameter) not in counted]
    counted.update(map(id, own))
    trained = [parameter for parameter in own if parameter.requires_grad]
    return Holding(
        name,
        kind,
        sum(p.numel() for p in own),
        sum(p.numel() for p in trained),
        sum(p.numel() * p.element_size() for p in own),
        sum(3 * p.numel() * p.element_size() for p in trained),
    )


def _all_parameters(role: Role, roles: Sequence[Role]) -> list[nn.Parameter]:
    """List the parameters of a role and of its base, without the adapters of other roles."""
    if role.adapter is None:
        return role.parameters()
    others = {id(p) for other in roles if other.adapter not in (None, role.adapter) for p in other.parameters()}
    own = {id(p) for p in role.parameters()}
    base = [p for p in role.host.parameters() if id(p) not in others and id(p) not in own]
    return [*role.parameters(), *base]

"""Remove the remains of a broken export. The function is in :mod:`kochat.text.residue` because prompt keys use it too."""

from __future__ import annotations

from kochat.cleaning.rule_kinds import Dirt, EditRule, Words
from kochat.text.residue import strip_residue

RULES = (
    EditRule(
        name="residue",
        order=150,
        does="remove the tail of a serialised record or a `token: 12` from the end",
        words=Words("기계가 남긴 찌꺼기(token: n 등)", "machine residue (token: n and the like)"),
        edit=strip_residue,
        planted=(Dirt("token_residue"),),
    ),
)

"""Cut off a broken export's remains; the function stands in :mod:`kochat.text.residue`, since a prompt's key must not change by it."""

from __future__ import annotations

from kochat.cleaning.rule_kinds import Dirt, EditRule, Words
from kochat.text.residue import strip_residue

RULES = (
    EditRule(
        name="residue",
        order=150,
        does="cut a serialised record's tail or a `token: 12` off the end",
        words=Words("기계가 남긴 찌꺼기(token: n 등)", "machine residue (token: n and the like)"),
        edit=strip_residue,
        planted=(Dirt("token_residue"),),
    ),
)

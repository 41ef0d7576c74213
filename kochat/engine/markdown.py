"""Answers as a Markdown table for TensorBoard's text tab."""

from __future__ import annotations

import string
from collections.abc import Sequence

# TensorBoard renders Markdown and HTML. Punctuation is written as character references, so it is never read as markup.
_ESCAPES = {ord(char): f"&#{ord(char)};" for char in string.punctuation} | {ord("\n"): "<br>", ord("\r"): None}


def escape(text: str, limit: int = 500) -> str:
    """Escape a text so that Markdown and HTML show it literally; cut it after ``limit`` characters."""
    return (text if len(text) <= limit else text[:limit] + "…").translate(_ESCAPES)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of the rows, with every cell escaped."""
    lines = [list(header), ["---"] * len(header), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

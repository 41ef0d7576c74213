"""The report as data: sections with a few kinds of block, which both the HTML and the Markdown template render.

Blocks hold plain text. The templates escape all of it, including the answers of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Cell:
    """A table's cell. `run` and `metric` identify the number, so that a test can check that all tables show the same one."""

    text: str
    run: str = ""
    metric: str = ""


@dataclass(frozen=True)
class Table:
    """A table: the first `text_columns` columns are text (left-aligned), the others numbers (right-aligned)."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    text_columns: int = 1
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class Figure:
    """A plot: its SVG source, its file name without suffix, and its caption."""

    name: str
    svg: str
    caption: str
    kind: str = field(default="figure", init=False)


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a `note` is printed small."""

    text: str
    note: bool = False
    kind: str = field(default="paragraph", init=False)


@dataclass(frozen=True)
class Bullets:
    """A list of points."""

    points: Sequence[str]
    kind: str = field(default="bullets", init=False)


@dataclass(frozen=True)
class Glossary:
    """A list of (heading, sentences) entries."""

    entries: Sequence[tuple[str, Sequence[str]]]
    kind: str = field(default="glossary", init=False)


@dataclass(frozen=True)
class Reply:
    """One model's answer to a prompt, with the judge's verdict as (key, word) if there is one."""

    label: str
    text: str
    verdict: str = ""
    verdict_word: str = ""


@dataclass(frozen=True)
class Comparison:
    """One prompt, its reference answer if it has one, and the models' answers to it."""

    prompt: str
    kind_word: str
    reference: str | None
    replies: Sequence[Reply]


@dataclass(frozen=True)
class SideBySide:
    """Answers to the same prompts side by side, folded away until the reader opens the `summary`."""

    caption: str
    summary: str
    comparisons: Sequence[Comparison]
    kind: str = field(default="answers", init=False)


Block = Table | Figure | Paragraph | Bullets | Glossary | SideBySide


@dataclass(frozen=True)
class Section:
    """A titled section of the report; `level` 2 is a chapter, 3 a section of a chapter. The document adds the number."""

    anchor: str
    title: str
    blocks: Sequence[Block]
    level: int = 2


@dataclass(frozen=True)
class Document:
    """The whole report; `parts` have no numbers in their titles, `sections` have."""

    lang: str
    title: str
    subtitle: str
    labels: dict[str, str]  # words that the templates need
    parts: Sequence[Section]

    @property
    def sections(self) -> list[Section]:
        """The parts with numbers in their titles: 1. for a chapter, 1.1. for a section."""
        numbered, chapter, part = [], 0, 0
        for section in self.parts:
            chapter, part = (chapter + 1, 0) if section.level == 2 else (chapter, part + 1)
            number = f"{chapter}." if section.level == 2 else f"{chapter}.{part}."
            numbered.append(replace(section, title=f"{number} {section.title}"))
        return numbered

    @property
    def figures(self) -> list[Figure]:
        """Every plot of the document, in order."""
        return [block for section in self.parts for block in section.blocks if isinstance(block, Figure)]

"""Render a document and write it: `report.html` (one file, opens offline) and `report.md` with `plots/*.svg` beside it."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kochat.report.document import Document
from kochat.report.drawing import standalone
from kochat.storage import write_text

# Characters that Markdown, or HTML inside it, reads as markup. An underscore inside a word is text, as in kl_coef.
_MARKUP = re.compile(r"[\\`*\[\]<>&|~$#@]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])|:(?=//)|(?<=www)\.")


def write_document(document: Document, folder: Path) -> Path:
    """Write a document into `folder`, its plots into `folder/plots`, and return the path of `report.html`."""
    plots = folder / "plots"
    plots.mkdir(exist_ok=True)
    for figure in document.figures:
        write_text(plots / f"{figure.name}.svg", standalone(figure.svg))
    write_text(folder / "report.md", to_markdown(document))
    path = folder / "report.html"
    write_text(path, to_html(document))
    return path


def to_html(document: Document) -> str:
    """Render the document as one HTML page that needs no other file and no network."""
    css = (files("kochat.report") / "templates" / "report.css").read_text(encoding="utf-8")
    return _environment(autoescape=True).get_template("report.html.j2").render(document=document, css=Markup(css))


def to_markdown(document: Document) -> str:
    """Render the document as Markdown that links the plots beside it."""
    environment = _environment(trim_blocks=True, lstrip_blocks=True, finalize=neutral_markdown)
    text = environment.get_template("report.md.j2").render(document=document)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def neutral_markdown(value: object) -> object:
    """Escape a value for Markdown: markup becomes character references, line breaks become spaces.

    Markup objects, which only the templates make, are not changed.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _MARKUP.sub(lambda match: f"&#{ord(match.group())};", " ".join(value.split()))


def _environment(**options: Any) -> Environment:
    loader = PackageLoader("kochat.report", "templates")
    environment = Environment(loader=loader, undefined=StrictUndefined, **options)
    environment.filters["own_markup"] = Markup
    return environment

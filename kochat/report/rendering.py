"""Render a document and write it: `report.html` (one file, opens offline) and `report.md` with `plots/*.svg` beside it.

A report in another language than Korean has the language in its file names: `report.en.html`.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from kochat.report.document import Document
from kochat.report.drawing import standalone
from kochat.report.words import DEFAULT_LANGUAGE
from kochat.storage import write_text

# Characters that Markdown, or HTML inside it, reads as markup. An underscore inside a word is text, as in kl_coef.
_MARKUP = re.compile(r"[\\`*\[\]<>&|~$#@]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])|:(?=//)|(?<=www)\.")


def write_document(document: Document, folder: Path) -> Path:
    """Write a document into `folder`, its plots into `folder/plots`, and return the path of the HTML page."""
    plots = folder / "plots"
    plots.mkdir(exist_ok=True)
    suffix = file_suffix(document.lang)
    for figure in document.figures:
        write_text(plots / f"{figure.name}{suffix}.svg", standalone(figure.svg))
    write_text(folder / f"report{suffix}.md", to_markdown(document))
    path = folder / f"report{suffix}.html"
    write_text(path, to_html(document))
    return path


def file_suffix(lang: str) -> str:
    """Return what a language adds to a file's name, so that two languages can stand side by side; Korean adds nothing."""
    return "" if lang == DEFAULT_LANGUAGE else f".{lang}"


def to_html(document: Document) -> str:
    """Render the document as one HTML page that needs no other file and no network."""
    css = (files("kochat.report") / "templates" / "report.css").read_text(encoding="utf-8")
    return _environment(autoescape=True).get_template("report.html.j2").render(document=document, css=Markup(css))


def to_markdown(document: Document) -> str:
    """Render the document as Markdown that links the plots beside it."""
    environment = _environment(trim_blocks=True, lstrip_blocks=True, finalize=neutral_markdown)
    text = environment.get_template("report.md.j2").render(document=document, suffix=file_suffix(document.lang))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def neutral_markdown(value: object) -> object:
    """Escape a value for Markdown: markup becomes character references, line breaks become spaces.

    Markup objects, which only the templates make, are not changed.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _MARKUP.sub(lambda match: f"&#{ord(match.group())};", " ".join(value.split()))


def breakable(text: str) -> Markup:
    """Escape a text for HTML and let its lines break after an underscore, so that a long name in a table wraps."""
    return escape(text).replace("_", Markup("_<wbr>"))


def _environment(**options: Any) -> Environment:
    loader = PackageLoader("kochat.report", "templates")
    environment = Environment(loader=loader, undefined=StrictUndefined, **options)
    environment.filters["own_markup"] = Markup
    environment.filters["breakable"] = breakable
    return environment

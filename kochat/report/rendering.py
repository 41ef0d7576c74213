"""Write a finished study's report: `report.html` (one file, opens offline) and `report.md` with `plots/*.svg` beside it."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kochat.report.document import Document
from kochat.report.drawing import standalone
from kochat.report.sections import make_document
from kochat.report.study_results import read_study
from kochat.report.variant_records import make_records
from kochat.report.words import Texts

# What Markdown or the HTML inside it would take as markup. An underscore inside a word is text, as in kl_coef.
_MARKUP = re.compile(r"[\\`*\[\]<>&|~$#@]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])|:(?=//)|(?<=www)\.")


def write_report(study_dir: Path, lang: str = "ko") -> Path:
    """Write the report of the study in `study_dir` there and return the path of `report.html`.

    Raises:
        UserError: The folder is no study, a file in it is broken, or `lang` is neither ko nor en.
    """
    texts = Texts(lang)
    results = read_study(Path(study_dir))
    document = make_document(results, make_records(results), texts)
    plots = results.folder / "plots"
    plots.mkdir(exist_ok=True)
    for figure in document.figures:
        (plots / f"{figure.name}.svg").write_text(standalone(figure.svg), encoding="utf-8")
    (results.folder / "report.md").write_text(to_markdown(document), encoding="utf-8")
    path = results.folder / "report.html"
    path.write_text(to_html(document), encoding="utf-8")
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
    """Write a value so that Markdown shows it as it is: markup as character references, one line.

    Markup objects, the templates' own, pass unchanged.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _MARKUP.sub(lambda match: f"&#{ord(match.group())};", " ".join(value.split()))


def _environment(**options: Any) -> Environment:
    loader = PackageLoader("kochat.report", "templates")
    environment = Environment(loader=loader, undefined=StrictUndefined, **options)
    environment.filters["own_markup"] = Markup
    return environment

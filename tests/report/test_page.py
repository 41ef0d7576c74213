"""The page and the Markdown of a small document made by hand."""

import re

import pytest

from kochat.report.document import Cell, Comparison, Document, Figure, Paragraph, Reply, Section, SideBySide, Table
from kochat.report.drawing import COLOURS, FONTS
from kochat.report.rendering import breakable, write_document
from tests.report.synthetic import NASTY

LABELS = {
    "contents": "Contents",
    "reference": "Reference",
    "answer": "Answer",
    "verdict": "Verdict",
    "variant": "Model",
    "no_answer": "(empty)",
}


def document(lang="ko", text="글"):
    """Make a document that has `text` in every place that a study, a user or a model fills."""
    replies = [Reply(text, text, "correct", text), Reply("PPO", "")]
    blocks = [
        Paragraph(text),
        Table(text, [text, "BLEU"], [[Cell(text), Cell("0.5", text, text)]]),
        Figure("loss", '<svg viewBox="0 0 547 200"><rect width="5" height="5"/></svg>', text),
        SideBySide(text, text, [Comparison(text, text, text, replies), Comparison("둘", "talk", None, replies)]),
    ]
    return Document(lang, text, text, LABELS, [Section("part", text, blocks)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_document(document(text=NASTY), folder)
    return folder


@pytest.fixture(scope="module")
def html(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def markdown(folder):
    return (folder / "report.md").read_text(encoding="utf-8")


def test_two_languages_stand_side_by_side(tmp_path):
    korean = write_document(document("ko", "한국어"), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    english = write_document(document("en", "English"), tmp_path)
    assert (korean.name, english.name) == ("report.html", "report.en.html")
    assert {path.name for path in before} == {"report.html", "report.md", "loss.svg"}
    assert {path: path.read_bytes() for path in before} == before
    assert "](plots/loss.en.svg)" in (tmp_path / "report.en.md").read_text(encoding="utf-8")
    assert (tmp_path / "plots" / "loss.en.svg").is_file()


def test_answers_are_folded_away_on_both_pages(html, markdown):
    for page in (html, markdown):
        assert len(re.findall('<details( class="answers")?>\n<summary>[^<]+</summary>\n', page)) == 1  # no `open`
        assert page.count("</details>") == 1
    folded = html[html.index("<details") : html.index("</details>")]
    assert folded.count('<section class="prompt">') == html.count('<section class="prompt">') == 2


def test_github_reads_markdown_inside_the_folded_part(markdown):
    assert "</summary>\n\n**" in markdown
    assert "|\n\n</details>\n" in markdown


def test_what_a_model_or_a_user_wrote_stays_text(html, markdown):
    assert html.count("&lt;script&gt;") > 10
    assert not re.search("<script|<b> ", html)
    assert breakable("<b>_x") == "&lt;b&gt;_<wbr>x"
    assert set(re.findall(r"<[^>]*>?", markdown)) == {"<details>", "</details>", "<summary>", "</summary>"}


def test_tables_of_the_markdown_are_githubs(markdown):
    tables = re.findall(r"\n\n((?:\|.*\n)+)\n", markdown)
    assert len(tables) == 3
    for table in tables:
        _, rule, *rows = table.splitlines()
        assert re.fullmatch(r"\|(?: (?::---|---:) \|)+", rule)
        assert {line.count("|") for line in table.splitlines()} == {rule.count("|")}
        assert rows


def test_the_page_and_its_plots_ask_for_the_same_fonts(html):
    assert FONTS.replace("'", '"').removesuffix(", sans-serif") in html


def light(colour):
    """Return a colour's relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, bright = sorted([light(one), light(other)])
    return (bright + 0.05) / (dark + 0.05)


def test_text_links_and_plots_are_readable_on_the_dark_page(html):
    dark = "".join(re.findall(r"@media screen and \(prefers-color-scheme: dark\) \{\n(.*?)\n\}", html, flags=re.DOTALL))
    named = dict(re.findall(r"--(\w+): (#\w{6});", dark))
    for name in ("ink", "soft", "link", "correct", "wrong", "plain"):
        assert min(contrast(named[name], named[page]) for page in ("page", "panel")) >= 4.5
    for part in ("fill", "stroke"):
        changed = dict(re.findall(rf'"{part}: (#\w{{6}})"\] \{{ {part}: (#\w{{6}}) !important', dark))
        drawn = [changed.get(colour, colour) for colour in COLOURS]
        assert min(contrast(colour, named["page"]) for colour in drawn) >= 4.5
        assert len(set(drawn)) == len(COLOURS)

"""The layout of the page of a small study in headless Chromium, on a phone's width, on a desk's and on paper."""

import html
import json
import re
import shutil
import subprocess

import pytest

from kochat.report.document import Cell, Comparison, Document, Paragraph, Reply, Section, SideBySide, Table
from kochat.report.rendering import to_html
from kochat.stages import stages_by_name
from kochat.study.composing import write_report
from tests.report.synthetic import write_study

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
PHONE, DESK = 390, 1400
PAPER = 688  # pixels: A4 without its margins
# Each page reports to the page that frames it. A frame may be as narrow as a phone; Chromium's own window may not.
FRAME = '<iframe src="{page}.html?{width}" style="width: {width}px; height: 800px; border: 0"></iframe>'
LISTEN = """<script>
onmessage = event => {
  const report = document.createElement("pre");
  report.textContent = event.data;
  document.body.append(report);
};
</script>"""
MEASURE = r"""<script>
const all = (where, selector) => [...where.querySelectorAll(selector)];
const box = element => element.getBoundingClientRect();
for (const folded of all(document, "details")) folded.open = true;
const page = document.documentElement;
const tables = all(document, ".table .scroll").map(frame => {
  const wide = frame.scrollWidth > frame.clientWidth;
  frame.scrollLeft = 60;
  const moved = box(frame.querySelector("td")).left - box(frame).left;
  const gap = box(frame).right - box(frame.querySelector("table")).right;
  return {wide, moved, gap, hint: getComputedStyle(frame).backgroundImage};
});
const panels = all(document, ".replies").map(panel => all(panel, ".reply").map(reply => Math.round(box(reply).left)));
const edges = all(document, "main > *, .plot svg").map(element => Math.round(box(element).right));
const frame = location.href.match(/(\w+)\.html\?(\d+)/);
const found = {name: frame[1], width: +frame[2], page: [page.scrollWidth, page.clientWidth], tables, panels, edges};
parent.postMessage(JSON.stringify(found), "*");
</script></body>"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return write_report(write_study(folder, prompts=6), "ko", stages_by_name())


@pytest.fixture(scope="module")
def measured(report):
    """Measure two pages with their answers unfolded; return the measurements by the page's name and width."""
    pages = {"page": report.read_text(encoding="utf-8"), "wide": to_html(wide_document())}
    pages |= {f"{name}_on_paper": on_paper(page) for name, page in pages.items()}
    for name, page in pages.items():
        (report.parent / f"{name}.html").write_text(page.replace("</body>", MEASURE), encoding="utf-8")
    frames = [FRAME.format(page=name, width=width) for name in ("page", "wide") for width in (PHONE, DESK)]
    frames += [FRAME.format(page=f"{name}_on_paper", width=PAPER) for name in ("page", "wide")]
    (report.parent / "frames.html").write_text("".join([LISTEN, *frames]), encoding="utf-8")
    shown = browse(report.parent / "frames.html", "--dump-dom")
    found = [json.loads(html.unescape(text)) for text in re.findall("<pre>(.*?)</pre>", shown)]
    return {(measurement["name"], measurement["width"]): measurement for measurement in found}


def wide_document():
    """Make a document of what is hard to fit: tables of 16 and 24 intervals a row, long names and answers without a space."""
    word = "ㅋ" * 500
    interval = Cell("-0.5000 (-0.2500, +0.7500)")
    tables = [
        Table(word, ["run", *["a_long_name_of_a_metric"] * columns], [[Cell("ppo_" * 20), *[interval] * columns]])
        for columns in (16, 24)
    ]
    answers = SideBySide(word, word, [Comparison(word, word, word, [Reply(word, word, "wrong", "wrong")] * 3)])
    labels = {"contents": "Contents", "reference": "Reference", "no_answer": "none"}
    return Document("ko", word, word, labels, [Section("one", word, [Paragraph(word), *tables, answers])])


def on_paper(page):
    """Return a page that looks on a screen as it does on paper."""
    return page.replace("@media print", "@media all").replace("@media screen", "@media not all")


def browse(path, action):
    """Open a page, wait for its scripts, do one thing with it, and return what the browser writes."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1500,900"]
    profile = f"--user-data-dir={path.parent / 'profile'}"
    command = [BROWSER, *options, profile, "--virtual-time-budget=5000", action, path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True).stdout


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", ["page", "wide"])
def test_the_page_never_scrolls_sideways(measured, name, width):
    whole, visible = measured[name, width]["page"]
    assert whole <= visible <= width


def test_everything_ends_at_one_right_edge(measured):
    desk = measured["page", DESK]
    assert len(set(desk["edges"])) == 1
    assert all(abs(table["gap"]) < 1 for table in desk["tables"])


@pytest.mark.parametrize("name", ["page", "wide"])
def test_a_wide_table_scrolls_in_its_box_with_a_hint_and_keeps_its_first_column(measured, name):
    wide = [table for table in measured[name, PHONE]["tables"] if table["wide"]]
    assert wide
    assert all(abs(table["moved"]) < 1 for table in wide)
    assert all(table["hint"].count("gradient") == 4 for table in wide)


def test_answers_side_by_side_are_stacked_on_a_phone(measured):
    assert all(len(set(panel)) == 1 for panel in measured["page", PHONE]["panels"])
    assert any(len(set(panel)) > 1 for panel in measured["page", DESK]["panels"])


@pytest.mark.parametrize("name", ["page_on_paper", "wide_on_paper"])
def test_paper_cuts_no_table(measured, name):
    whole, visible = measured[name, PAPER]["page"]
    assert whole <= visible
    assert not any(table["wide"] for table in measured[name, PAPER]["tables"])


def test_answers_are_printed_though_they_are_folded(report):
    unfolded = report.with_name("unfolded.html")
    unfolded.write_text(report.read_text(encoding="utf-8").replace("<details", "<details open"), encoding="utf-8")
    assert pages(report) == pages(unfolded) > 3


def pages(path):
    """Return the number of pages that a page fills on paper."""
    pdf = path.with_suffix(".pdf")
    browse(path, f"--print-to-pdf={pdf}")
    return len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))

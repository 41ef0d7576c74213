"""The page and the Markdown of a small document made by hand."""

from kochat.report.document import Cell, Comparison, Document, Figure, Paragraph, Reply, Section, SideBySide, Table
from kochat.report.rendering import write_document

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
        SideBySide(text, [Comparison(text, text, text, replies), Comparison("둘", "talk", None, replies)]),
    ]
    return Document(lang, text, text, LABELS, [Section("part", text, blocks)])


def test_two_languages_stand_side_by_side(tmp_path):
    korean = write_document(document("ko", "한국어"), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    english = write_document(document("en", "English"), tmp_path)
    assert (korean.name, english.name) == ("report.html", "report.en.html")
    assert {path.name for path in before} == {"report.html", "report.md", "loss.svg"}
    assert {path: path.read_bytes() for path in before} == before
    assert "](plots/loss.en.svg)" in (tmp_path / "report.en.md").read_text(encoding="utf-8")
    assert (tmp_path / "plots" / "loss.en.svg").is_file()

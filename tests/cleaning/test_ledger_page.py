"""The ledger as a page: self-contained, complete or honest about what it leaves out, and nothing in a record can run."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kochat.cleaning import ledger_page
from kochat.cleaning.cleaner import clean
from kochat.cleaning.ledger_page import write_page
from kochat.cli import main
from kochat.data.files import SFT_FILE
from kochat.errors import UserError
from tests.data.raw_data import sound_rows, write

ROWS = sound_rows(60)
ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)> <!-- 무엇일까 "


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))


def page_of(folder: Path) -> tuple[str, dict]:
    text = write_page(folder).read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return text, json.loads(data)


@pytest.fixture
def cleaned(tmp_path: Path) -> Path:
    dirty = [{"prompt": row["prompt"], "completion": f" {row['completion']}"} for row in ROWS[:40]]
    attack = {"prompt": ATTACK, "completion": "답" * 2000}
    write(tmp_path / "v1" / SFT_FILE, [*dirty, *ROWS[40:], attack, ROWS[50], {"prompt": "음", "completion": "가나"}])
    clean(tmp_path / "v1", tmp_path / "v2")
    return tmp_path / "v2"


def test_the_page_holds_every_entry(cleaned: Path) -> None:
    _, data = page_of(cleaned)
    lines = (cleaned / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert data["total"] == len(data["entries"]) == len(lines) > 42
    first = data["entries"][0]
    assert (first["place"], first["rule"], first["before"]) == (
        "line 1",
        "whitespace",
        [["completion", " " + ROWS[0]["completion"]]],
    )
    assert data["summary"]["files"][SFT_FILE]["read"] == 63


def test_a_script_in_a_prompt_stays_text(cleaned: Path) -> None:
    text, data = page_of(cleaned)
    assert any(ATTACK in value for entry in data["entries"] for _, value in entry["before"])
    elements = Elements()
    elements.feed(text)
    assert [attrs for tag, attrs in elements.tags if tag == "script"] == [
        {"type": "application/json", "id": "data"},
        {},
    ]
    assert not [attrs for tag, attrs in elements.tags if tag == "img" or any(name.startswith("on") for name in attrs)]
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|https?://", text)


def test_long_texts_and_large_ledgers_are_cut(cleaned: Path, monkeypatch) -> None:
    _, data = page_of(cleaned)
    longest = max(len(value) for entry in data["entries"] for _, value in entry["before"])
    assert longest == len(f"{'답' * 1500}... (2,000 characters)")
    monkeypatch.setattr(ledger_page, "MOST_ENTRIES", 12)
    _, data = page_of(cleaned)
    assert data["total"] > 42
    assert len(data["entries"]) == 12
    rules = [entry["rule"] for entry in data["entries"]]
    assert {"whitespace", "too_long", "exact_duplicate", "too_short"} <= set(rules)  # the small ones are whole
    assert page_of(cleaned)[1] == data


def test_the_command(cleaned: Path, tmp_path: Path, capsys) -> None:
    assert main(["clean", "--html", "--out", str(cleaned)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"kochat: {cleaned / 'ledger.html'}"
    assert main(["clean", str(tmp_path / "v1"), "--html", "--out", str(tmp_path / "other")]) == 0
    assert (tmp_path / "other" / "ledger.html").is_file()
    with pytest.raises(UserError, match=r"ledger\.jsonl: no such file"):
        write_page(tmp_path)

"""The docs point at code and tests that are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = {
    str(path.relative_to(ROOT / "tests")): {
        node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)
    }
    for path in (ROOT / "tests").rglob("test_*.py")
}
PAGES = sorted((ROOT / "docs").glob("*.md"))


def named_tests(line: str):
    """Yield (file, test or None) for each reference in a line; ``::test`` alone belongs to the file before it."""
    file = None
    for match in re.finditer(r"`(?:tests/)?([\w/]*test_(?!NAME)\w+\.py)?(?:::(\w+))?`", line):
        file = match.group(1) or file
        if match.group(1) or match.group(2):
            yield file, match.group(2)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_tests_exist(page):
    lost = [
        (file, test)
        for line in page.read_text(encoding="utf-8").splitlines()
        for file, test in named_tests(line)
        if file not in TESTS or (test is not None and test not in TESTS[file])
    ]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_modules_exist(page):
    """Paths that begin with one of kochat's rooms; those of other projects are theirs."""
    rooms = "|".join(path.name for path in (ROOT / "kochat").iterdir() if path.is_dir())
    named = set(re.findall(rf"`(?:kochat/)?((?:{rooms})/[a-z_]+\.py)`", page.read_text(encoding="utf-8")))
    assert [
        path for path in sorted(named) if not any((ROOT / top / path).is_file() for top in ("kochat", "tests"))
    ] == []

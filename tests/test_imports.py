"""Imports run one way only: a room may import from the rooms before it, never from those after."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "kochat"
LEVELS = [
    {"errors"},
    {"storage"},
    {"runs", "config_types", "config_errors", "option_fields"},
    {"functional", "text"},
    {"data", "nn", "metrics", "world"},
    {"cleaning", "statistics"},
    {"rewards"},
    {"report"},
    {"engine"},
    {"stages"},
    {"lightning_cli", "terminal_chat"},
    {"run_parsing"},
    {"study"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def imported_rooms(path: Path) -> set[str]:
    """Name the rooms of kochat that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} if node.module != "kochat" else {f"kochat.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("kochat.") and "__" not in name}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(path for path in PACKAGE.rglob("*.py") if room_of(path) != "__init__")


def test_every_room_has_a_level():
    assert {room_of(path) for path in FILES} == LEVEL.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    room = room_of(path)
    wrong = {other for other in imported_rooms(path) if other != room and LEVEL[other] >= LEVEL[room]}
    assert not wrong, f"{room} may not import {wrong}"


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "stages").glob("*/**/*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_no_stage_imports_another(path):
    own = path.relative_to(PACKAGE / "stages").parts[0]
    imported = re.findall(r"kochat\.stages(?:\.| import )(\w+)", path.read_text(encoding="utf-8"))
    assert set(imported) <= {own}

"""Read the tables of the small world (facts/*.tsv, relations/*.yaml, talk/*.yaml) and check every entry.

The readers return plain dictionaries for the dataclasses of :mod:`kochat.world.contents`. Every fault raises UserError, which names
file, line or entry, field and remedy.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import yaml

from kochat.errors import UserError
from kochat.text.particles import fill

if TYPE_CHECKING:  # Python 3.10 has it elsewhere
    from importlib.resources.abc import Traversable

_COLUMNS = ["subject", "object", "subject_aliases", "object_aliases"]
# field -> (fewest templates, placeholders that each must use, placeholders that none may use)
_TEMPLATES = {
    "statements": (6, "so", ""),
    "questions": (6, "s", "o"),
    "usual_tests": (3, "s", "o"),
    "roundabout_tests": (3, "s", "o"),
    "answers": (4, "so", ""),
    "evasive": (3, "s", "o"),
    "unknown": (3, "s", "o"),
    "rude": (3, "o", ""),
}
_TALK = {"prompts": 5, "test_prompts": 2, "replies": 4, "half": 2, "rude": 2}
_FIXED_PARTICLE = re.compile(r"\{[so]\}(은|는|이|가|을|를|과|와|으로|로|이에요|예요|이었|였)(?![가-힣])")
# libyaml if it is available: ten times faster, and equally safe.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_facts(folder: Traversable, relation: str) -> list[dict[str, Any]]:
    """Read facts/<relation>.tsv in line order: for each row {subject, object, subject_aliases, object_aliases}."""
    name = f"facts/{relation}.tsv"
    path = folder / f"{relation}.tsv"
    if not path.is_file():
        raise UserError(f"{name}: missing; relations/{relation}.yaml needs a table of facts")
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or lines[0].split("\t") != _COLUMNS:
        raise UserError(f"{name}, line 1: the header must be {' <tab> '.join(_COLUMNS)}")
    rows: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    for number, line in enumerate(lines[1:], start=2):
        row = _fact(line, f"{name}, line {number}")
        pair = (row["subject"], row["object"])
        if pair in seen:
            raise UserError(f"{name}, line {number}: {pair[0]} - {pair[1]} is there twice; delete one")
        seen.add(pair)
        rows.append(row)
    return rows


def _fact(line: str, where: str) -> dict[str, Any]:
    cells = line.split("\t")
    cells += [""] * (len(_COLUMNS) - len(cells))  # editors strip the tabs of empty last columns
    if len(cells) != len(_COLUMNS):
        raise UserError(f"{where}: {len(cells)} columns; expected {len(_COLUMNS)}, separated by single tabs")
    subject, object_, subject_aliases, object_aliases = cells
    row = {
        "subject": _text(subject, f"{where}, subject"),
        "object": _text(object_, f"{where}, object"),
        "subject_aliases": _aliases(subject_aliases, f"{where}, subject_aliases"),
        "object_aliases": _aliases(object_aliases, f"{where}, object_aliases"),
    }
    for column in ("subject", "object"):
        if row[column] in row[f"{column}_aliases"]:
            raise UserError(f"{where}, {column}_aliases: {row[column]!r} is the {column} itself; delete the alias")
    return row


def _aliases(cell: str, where: str) -> tuple[str, ...]:
    return tuple(_text(alias, where) for alias in cell.split("|")) if cell else ()


def refuse_stray_tables(folder: Traversable, relations: Collection[str]) -> None:
    """Raise UserError for a facts/*.tsv whose relation has no YAML; else its facts would be ignored without a warning."""
    for path in _listed(folder, ".tsv"):
        if path.name.removesuffix(".tsv") not in relations:
            raise UserError(f"facts/{path.name}: no relations/{path.name.removesuffix('.tsv')}.yaml; add it")


def read_relations(folder: Traversable) -> list[dict[str, Any]]:
    """Read relations/*.yaml in the order of their names: for each {id, name, and a tuple of templates for each field}."""
    return [_relation(path) for path in _listed(folder, ".yaml")]


def _relation(path: Traversable) -> dict[str, Any]:
    where = f"relations/{path.name}"
    entry = _mapping(_yaml(path, where), {"name", *_TEMPLATES}, where)
    relation: dict[str, Any] = {
        "id": path.name.removesuffix(".yaml"),
        "name": _text(entry["name"], f"{where}, name"),
    }
    for field, (fewest, needed, forbidden) in _TEMPLATES.items():
        relation[field] = _texts(entry[field], fewest, f"{where}, {field}")
        for template in relation[field]:
            _check_template(template, needed, forbidden, f"{where}, {field}")
    return relation


def _check_template(template: str, needed: str, forbidden: str, where: str) -> None:
    for name in needed:
        if not re.search(rf"\{{{name}[:}}]", template):
            raise UserError(f"{where}: {template!r} lacks {{{name}}}")
    for name in forbidden:
        if re.search(rf"\{{{name}[:}}]", template):
            raise UserError(f"{where}: {template!r} may not use {{{name}}}")
    if fixed := _FIXED_PARTICLE.search(template):
        raise UserError(f"{where}: {template!r} fixes a particle in {fixed.group()!r}; write it like {{s:은/는}}")
    try:
        filled = fill(template, s="서울", o="서울")
    except (KeyError, ValueError) as error:
        raise UserError(f"{where}: {template!r} has a bad placeholder: {error}") from None
    if "{" in filled or "}" in filled:
        raise UserError(f"{where}: {template!r} has a stray brace")


def read_families(folder: Traversable) -> list[dict[str, Any]]:
    """Read talk/*.yaml in the order of their names: for each family {id, name, topic} and a tuple of texts for each field."""
    families: list[dict[str, Any]] = []
    seen: set[str] = set()
    for path in _listed(folder, ".yaml"):
        entries = _yaml(path, f"talk/{path.name}")
        if not isinstance(entries, list):
            raise UserError(f"talk/{path.name}: expected a list of families (- id: ...)")
        for number, entry in enumerate(entries, start=1):
            family = _family(entry, f"talk/{path.name}, family {number}")
            if family["id"] in seen:
                raise UserError(f"talk/{path.name}, family {number}, id: {family['id']!r} is taken; choose another")
            seen.add(family["id"])
            families.append({"topic": path.name.removesuffix(".yaml"), **family})
    return families


def _family(entry: object, where: str) -> dict[str, Any]:
    fields = _mapping(entry, {"id", "name", *_TALK}, where)
    family: dict[str, Any] = {name: _text(fields[name], f"{where}, {name}") for name in ("id", "name")}
    for field, fewest in _TALK.items():
        family[field] = _texts(fields[field], fewest, f"{where} ({family['id']}), {field}")
    return family


def _listed(folder: Traversable, suffix: str) -> Iterator[Traversable]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; a world has facts/, relations/ and talk/")
    yield from sorted((path for path in folder.iterdir() if path.name.endswith(suffix)), key=lambda path: path.name)


def _yaml(path: Traversable, where: str) -> object:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not YAML: {' '.join(str(error).split())}") from None


def _mapping(value: object, fields: Collection[str], where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected the fields {', '.join(sorted(fields))}")
    if missing := sorted(set(fields) - set(value)):
        raise UserError(f"{where}: lacks {', '.join(missing)}")
    if unknown := sorted(str(name) for name in set(value) - set(fields)):
        raise UserError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(fields))}")
    return value


def _texts(value: object, fewest: int, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) < fewest:
        raise UserError(f"{where}: expected a list of at least {fewest} texts")
    texts = tuple(_text(text, where) for text in value)
    for text in texts:
        if texts.count(text) > 1:
            raise UserError(f"{where}: {text!r} is there twice; delete one")
    return texts


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"{where}: {value!r} is not a text; put it in quotes")
    if not value or value != value.strip() or value != unicodedata.normalize("NFC", value):
        raise UserError(f"{where}: {value!r} is empty, has outer spaces or is not in NFC")
    return value

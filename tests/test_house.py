"""The shape of the house: names, switches, what is written where, what is declared. Each test reads the code and runs none of it."""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kochat"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
IN_EVERY_STAGE = {"__init__", "module", "data", "options", "checks", "metrics", "models", "report"}


def name(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_modules_name_is_not_that_of_a_function_in_it(path):
    functions = {node.name for node in TREES[path].body if isinstance(node, ast.FunctionDef)}
    assert path.stem not in functions


def test_a_modules_name_says_which_file_it_is():
    """Only what every stage folder has may be there twice."""
    stems = Counter(path.stem for path in FILES if path.stem not in IN_EVERY_STAGE or "stages" not in path.parts)
    assert {stem for stem, count in stems.items() if count > 1} <= {"__init__"}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_switch_is_a_module_global(path):
    switches = [
        target.id
        for node in TREES[path].body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(node.value.value, bool) and isinstance(target, ast.Name)
    ]
    assert switches == []


def written_attributes(tree):
    """Yield (object, attribute) of every assignment to an attribute, and of every setattr with a literal name."""
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else targets
        for target in targets:
            for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(part, ast.Attribute):
                    yield ast.unparse(part.value), part.attr


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nobody_writes_anothers_private_attribute(path):
    assert [
        (owner, attr) for owner, attr in written_attributes(TREES[path]) if attr[0] == "_" and owner != "self"
    ] == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nobody_puts_a_function_in_place_of_anothers(path):
    """``mlp.forward = trimmed`` is the example: PyTorch offers hooks. A model's config is made to be written."""
    assert [attr for _, attr in written_attributes(TREES[path]) if attr in ("forward", "__call__", "step")] == []
    calls = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.Call) and node.args]
    written = [ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "setattr"]
    assert [owner for owner in written if owner != "config"] == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_state_travels_in_the_environment_or_a_context_variable(path):
    text = path.read_text(encoding="utf-8").replace('os.environ["CUDA_VISIBLE_DEVICES"] =', "")  # CUDA's own interface
    assert "ContextVar" not in text
    assert not re.search(r"os\.environ\[|os\.environ\.setdefault|os\.putenv", text)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_what_a_stage_can_do_is_said_by_the_stage_and_not_asked_by_isinstance(path):
    asked = [
        ast.unparse(node)
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("isinstance", "issubclass")
        if re.search(
            r"\b(?!Lightning|nn\.)\w*(?:Stage|SFT|PPO|Reward|Pretrain|Baseline|LanguageModel)Module\b",
            ast.unparse(node),
        )
    ]
    assert asked == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_functions_say_what_they_take(path):
    """At most seven parameters: what travels together is one object. Ruff's FBT rules refuse positional bools."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            assert len([arg for arg in given if arg.arg not in ("self", "cls")]) <= 7, node.name


def declared():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL).group(1)
    names = re.findall(r'^  "([A-Za-z0-9_.-]+)', block, re.MULTILINE)
    return {re.sub(r"[-_.]+", "_", each).lower() for each in names} | {"yaml"}


def test_every_import_is_declared():
    found = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    assert found - set(sys.stdlib_module_names) - {"kochat"} <= declared()


def test_ppo_can_be_read_in_one_go():
    lines = (PACKAGE / "stages" / "ppo" / "module.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 250

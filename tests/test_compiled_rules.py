"""What mypyc would compile into something else, without a word (docs/decisions.md, "Code that can be compiled")."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
Function = ast.FunctionDef | ast.AsyncFunctionDef


def compiled_modules() -> list[Path]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


MODULES = compiled_modules()


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def waits(nodes: list[ast.stmt]) -> list[int]:
    kinds = ast.Await | ast.AsyncFor | ast.AsyncWith | ast.Yield | ast.YieldFrom
    return [found.lineno for node in nodes for found in ast.walk(node) if isinstance(found, kinds)]


def test_modules_are_named() -> None:
    names = {str(path.relative_to(ROOT)) for path in MODULES}
    assert {"protocol/http/request.py", "router/proxy/exchange.py", "router/net/link.py"} <= names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_waits_where_something_was_caught(path: Path) -> None:
    """Everybody's sys.exc_info() would be what was caught there."""
    lines = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Try):
            for handler in node.handlers:
                lines += waits(handler.body)
            lines += waits(node.finalbody)
    assert not lines


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_one_name_holds_exceptions_of_one_kind(path: Path) -> None:
    """A compiled name has one type: another one is a TypeError when it is caught."""
    for function in functions(ast.parse(path.read_text())):
        kinds: dict[str, set[str]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.ExceptHandler) and node.name and node.type is not None:
                kinds.setdefault(node.name, set()).add(ast.unparse(node.type))
        assert all(len(types) == 1 for types in kinds.values()), (function.name, kinds)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_deleted_is_declared(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ClassDef):
            continue
        deleted = {
            target.attr
            for found in ast.walk(node)
            if isinstance(found, ast.Delete)
            for target in found.targets
            if isinstance(target, ast.Attribute)
        }
        declared = {
            constant.value
            for statement in node.body
            if isinstance(statement, ast.Assign)
            and ast.unparse(statement.targets[0]) == "__deletable__"
            for constant in ast.walk(statement.value)
            if isinstance(constant, ast.Constant)
        }
        assert deleted <= declared, node.name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_base_class_is_an_abc(path: Path) -> None:
    """Its compiled subclasses would share its memory of isinstance."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            assert "ABC" not in {ast.unparse(base) for base in node.bases}, node.name

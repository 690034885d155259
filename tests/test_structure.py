"""The shape of the code: no circles, no files or classes that hold several ideas (docs/architecture.md)."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("protocol", "subscriptions", "router")
#: Lines that a file of the router may have.
MOST_LINES = 400
#: Attributes that a class on a request's way may have, those of its bases included.
MOST_ATTRIBUTES = 20

FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("uwsgi_router", *parts)).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports_of(module: str) -> set[str]:
    """What a module imports of ours, for types only included."""
    found: set[str] = set()
    for node in ast.walk(tree_of(MODULES[module])):
        if isinstance(node, ast.ImportFrom) and node.module:
            # A package's own file is executed too.
            names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            found |= names & set(MODULES)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & set(MODULES)
    return found - {module}


def test_no_files_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter({module: imports_of(module) for module in MODULES}).prepare()
    except CycleError as exc:
        pytest.fail(f"a circle: {' -> '.join(exc.args[1])}")


def test_a_circle_would_be_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).prepare()
    assert "uwsgi_router.router.proxy.lease" in imports_of("uwsgi_router.router.proxy.exchange")


@pytest.mark.parametrize(
    "path", [path for path in FILES if "router" in path.parts], ids=lambda path: path.name
)
def test_a_file_of_the_router_is_not_too_long(path: Path) -> None:
    assert path.read_text().count("\n") <= MOST_LINES


def test_no_file_lies_beside_the_rooms() -> None:
    assert [path.name for path in (ROOT / "router").glob("*.py")] == ["__init__.py"]


def classes() -> dict[str, tuple[ast.ClassDef, list[str]]]:
    """Classes of the router, and the names of their bases."""
    found = {}
    for path in FILES:
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = (
                    node,
                    [base.id for base in node.bases if isinstance(base, ast.Name)],
                )
    return found


CLASSES = classes()
#: uwsgiconf's name, which users write; what it stands for is a forwarder too.
SHARED = {"Forwarder"}


def test_no_two_classes_share_a_name() -> None:
    found = [
        node.name
        for path in FILES
        for node in tree_of(path).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert {name for name in found if found.count(name) > 1} == SHARED


def attributes_of(name: str) -> set[str]:
    """What a class and its bases set on themselves."""
    if name not in CLASSES:
        return set()
    node, bases = CLASSES[name]
    own = {
        target.attr
        for found in ast.walk(node)
        if isinstance(found, ast.Attribute) and isinstance(found.ctx, ast.Store)
        for target in (found,)
        if isinstance(target.value, ast.Name) and target.value.id == "self"
    }
    return own.union(*(attributes_of(base) for base in bases))


def on_a_requests_way() -> list[str]:
    rooms = ("proxy", "fronts")
    return [
        node.name
        for path in FILES
        if path.relative_to(ROOT).parts[:2] in {("router", room) for room in rooms}
        for node in tree_of(path).body
        if isinstance(node, ast.ClassDef)
    ]


@pytest.mark.parametrize("name", on_a_requests_way())
def test_a_class_on_a_requests_way_holds_one_lifetime(name: str) -> None:
    assert len(attributes_of(name)) <= MOST_ATTRIBUTES, sorted(attributes_of(name))

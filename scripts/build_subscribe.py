"""Builds ``uwsgi-subscribe``: the announcing client as one executable file (``make subscribe.pyz``).

Our packages have common names. In the file they all lie below one private package, and import each other from there: so
nothing of the application's is taken for ours, whatever it has imported before, and nothing of ours for the
application's. Of ``subscriptions`` only what the client imports is in it.
"""

import ast
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENTRY = "subscriptions.client.command"
PACKAGES = ("protocol", "subscriptions")
PRIVATE = "_uwsgi_subscribe"
# Zip files know no earlier time. The same sources make the same file.
WHEN = (1980, 1, 1, 0, 0, 0)

# Read by whatever `python3` is: it must be able to say that it is too old.
MAIN = f"""\
import os
import sys

if sys.version_info < (3, 11):
    sys.exit("uwsgi-subscribe: Python 3.11 or newer is needed, and python3 is %d.%d here" % sys.version_info[:2])

# A module of the application's must not stand for one of Python's own: what PYTHONPATH names comes last.
foreign = [os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
sys.path.sort(key=lambda entry: os.path.abspath(entry) in foreign)

from {PRIVATE}.{ENTRY} import main

sys.exit(main(sys.argv[1:]))
"""


def main(target: Path) -> None:
    """Write the file."""
    files = {"__main__.py": MAIN, f"{PRIVATE}/__init__.py": ""}
    for module, path in sorted(_modules().items()):
        files[f"{PRIVATE}/{path.relative_to(ROOT)}"] = _moved(module, path.read_text())
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.new")
    with new.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(zipfile.ZipInfo(name, WHEN), text, zipfile.ZIP_DEFLATED)
    new.chmod(0o755)
    os.replace(new, target)


def _modules() -> dict[str, Path]:
    """Return the client's modules, and what they import of ours, by name."""
    found: dict[str, Path] = {}
    wanted = [ENTRY]
    while wanted:
        name = wanted.pop()
        path = ROOT.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name in found or not path.is_file():
            # `from package import name` may mean a module or something in the package.
            continue
        found[name] = path
        if "." in name:
            wanted.append(name.rpartition(".")[0])
        # What the package offers to others, lazily, is no part of the client.
        if name != "subscriptions":
            wanted += _imports(name, path.read_text())
    return found


def _imports(module: str, text: str) -> Iterator[str]:
    for node in _own_imports(module, text):
        yield str(node.module)
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _moved(module: str, text: str) -> str:
    """Return a module's text, importing from the private package."""
    lines = text.splitlines(keepends=True)
    for node in _own_imports(module, text):
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = line.replace("from ", f"from {PRIVATE}.", 1)
    return "".join(lines)


def _own_imports(module: str, text: str) -> Iterator[ast.ImportFrom]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in PACKAGES:
                    sys.exit(f"{module}: write `from {alias.name} import ...`, which can be moved")
        elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in PACKAGES:
            yield node


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: build_subscribe.py FILE")
    main(Path(sys.argv[1]))

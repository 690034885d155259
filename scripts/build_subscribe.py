"""Build script of ``uwsgi-subscribe``: the announcing client as one executable file (``make subscribe.pyz``).

It holds ``uwsgi_router`` with what the client imports, and nothing else of it.
"""

import ast
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "uwsgi_router"
ENTRY = f"{PACKAGE}.subscriptions.client.command"
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

from {ENTRY} import main

sys.exit(main(sys.argv[1:]))
"""


def main(target: Path) -> None:
    """Write the file."""
    files = {"__main__.py": MAIN}
    for path in sorted(_modules().values()):
        files[str(path.relative_to(ROOT))] = path.read_text()
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
        # What these offer to others, when asked for it, is no part of the client.
        if name not in {PACKAGE, f"{PACKAGE}.subscriptions"}:
            wanted += _imports(path.read_text())
    found[f"{PACKAGE}.version"] = ROOT / PACKAGE / "version.py"
    return found


def _imports(text: str) -> Iterator[str]:
    """Yield what a module imports of ours; a name may be a module's or something's in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(f"{PACKAGE}."))
        elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == PACKAGE:
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: build_subscribe.py FILE")
    main(Path(sys.argv[1]))

"""``python -m tests.compiled``: is what the tests will import compiled? Exit code 1 if not."""

import importlib
import sys

import pytest

#: One of each package that pyproject.toml names.
MODULES = (
    "uwsgi_router.protocol.http.request",
    "uwsgi_router.router.backs.http",
    "uwsgi_router.router.fronts.http.front",
    "uwsgi_router.router.net.link",
    "uwsgi_router.router.proxy.exchange",
)


def _is_extension(name: str) -> bool:
    return str(importlib.import_module(name).__file__).endswith(".so")


#: For tests with subclasses of their own: there are none of a compiled class that are not compiled with it.
PLAIN_ONLY = pytest.mark.skipif(
    _is_extension("uwsgi_router.router.net.link"),
    reason="compiled classes have no other subclasses",
)
#: For tests of the lines that are remembered: compiled parsers walk over heads and remember none.
LINES_ONLY = pytest.mark.skipif(
    _is_extension("uwsgi_router.protocol.http.walk"),
    reason="compiled parsers remember no lines",
)


def main() -> int:
    missing = [name for name in MODULES if not _is_extension(name)]
    if missing:
        sys.stderr.write(f"not compiled: {', '.join(missing)}\n")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())

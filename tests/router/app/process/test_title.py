"""The name in ``top``."""

from pathlib import Path

import pytest

from tests.lab.processes import run_python

TITLE = """
import sys
sys.path.insert(0, {root!r})
from uwsgi_router.router.app.process.title import set_title
set_title({procname!r}, {prefix!r})
print(open("/proc/self/comm").read(), end="")
"""


@pytest.mark.parametrize(
    ("procname", "prefix", "shown"),
    [
        ("edge", None, "edge"),
        (None, "eu-", "eu-uwsgi-router"),
        ("edge", "eu-", "eu-edge"),
        ("a-name-that-is-long", None, "a-name-that-is-"),
    ],
)
def test_procname_is_shown_up_to_15_bytes(
    procname: str | None, prefix: str | None, shown: str
) -> None:
    program = TITLE.format(root=str(Path(__file__).parents[4]), procname=procname, prefix=prefix)
    done = run_python(program, check=True)
    assert done.stdout == f"{shown}\n"


def test_without_options_the_name_stays() -> None:
    program = TITLE.format(root=str(Path(__file__).parents[4]), procname=None, prefix=None)
    done = run_python(program, check=True)
    assert done.stdout.startswith("python")

"""Operators' code loaded by ``check --load``: in a child, as the user that the router becomes."""

import os
import re
from pathlib import Path

import pytest

from uwsgi_router.router.app.prepare.code_load import load_problems
from uwsgi_router.router.app.prepare.prepare import prepare
from uwsgi_router.router.app.process.identity import ProcessIdentity
from uwsgi_router.router.cli.main import main
from uwsgi_router.router.config.load import Report, examine

NOBODY = ProcessIdentity(None, None)


def report(directory: Path, code: str, *lines: str) -> Report:
    """Report of a router whose mapper is this code."""
    directory.joinpath("mapper.py").write_text(code)
    file = directory / "router.ini"
    mapper = f"http-use-code-string = 0:{directory}/mapper.py:f"
    file.write_text("\n".join(("[uwsgi]", "http = :0", mapper, *lines, "")))
    return examine([os.fspath(file)], {})


GOOD = "def f(key):\n    return None\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_module\n" + GOOD, "mapper.py:1: ModuleNotFoundError: No module named"),
        (GOOD + "1 / 0\n", "mapper.py:3: ZeroDivisionError"),
        ("def f():\n    return None\n", "it is called with one argument, the key"),
        ("f = 1\n", "f in .*mapper.py is no function but int"),
        ("import os\nos._exit(5)\ndef f(key): ...\n", "ended with status 5"),
        ("import os\nos.kill(os.getpid(), 9)\ndef f(key): ...\n", "ended with status -9"),
        ("import sys\nsys.exit('no')\ndef f(key): ...\n", "SystemExit: no"),
    ],
)
def test_what_only_loading_shows(
    code: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    read = report(tmp_path, code)
    assert prepare(read).problems == ()
    (problem,) = prepare(read, load_code=True).problems
    assert problem.where == f"{tmp_path}/router.ini:3"
    assert re.search(said, problem.message), problem.message
    assert main(["check", "--load", f"{tmp_path}/router.ini"]) == 1
    assert main(["check", f"{tmp_path}/router.ini"]) == 0
    capfd.readouterr()


def test_code_in_order_leaves_nothing_here(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = f"import os, sys\nprint('out')\nprint('err', file=sys.stderr)\nos.chdir('/')\n{GOOD}"
    before = os.getcwd()
    assert prepare(report(tmp_path, code), load_code=True).problems == ()
    assert os.getcwd() == before
    assert capfd.readouterr() == ("", "")


def test_code_that_does_not_return_is_ended(tmp_path: Path) -> None:
    read = report(tmp_path, "import time\ntime.sleep(600)\n" + GOOD)
    (line,) = load_problems(read.configuration, NOBODY, patience=0.2)
    assert line.endswith("mapper.py:f: it was not loaded within 0.2 s")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_it_is_loaded_as_the_user_that_the_router_becomes(tmp_path: Path) -> None:
    code = f"import os\nif os.geteuid() == 0: raise RuntimeError('root')\n{GOOD}"
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o777 == 0o700:
            directory.chmod(0o755)
    (problem,) = prepare(report(tmp_path, code), load_code=True).problems
    assert "RuntimeError: root" in problem.message
    assert prepare(report(tmp_path, code, "uid = 12345"), load_code=True).problems == ()

"""Mistakes that one run of ``check`` finds before the start does, each with its place and what to do."""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from uwsgi_router.router.app.prepare.prepare import prepare
from uwsgi_router.router.cli.main import main
from uwsgi_router.router.config.lines import Problem, Severity
from uwsgi_router.router.config.load import examine

ERROR, DEPENDS, WARNING = Severity.ERROR, Severity.DEPENDS, Severity.WARNING


class Checked:
    """A file below a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "router.ini"

    def problems(self, *lines: str) -> list[Problem]:
        """What is found in a file with these lines, the first of which is line 2."""
        self.path.write_text("\n".join(("[uwsgi]", *lines, "")))
        report = prepare(examine([os.fspath(self.path)], {"HOME": "/home/me"}))
        return [*report.problems, *report.warnings]


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    monkeypatch.chdir(tmp_path)
    return Checked(tmp_path)


GOOD = ("http = 127.0.0.1:8080", "http-to = 127.0.0.1:8000")
FAST = ("fastrouter = 127.0.0.1:3031", "fastrouter-to = 127.0.0.1:3032")
SUBSCRIBED = ("http = 127.0.0.1:8080", "http-subscription-server = 127.0.0.1:3032")
# The lines of a file; the number of the one that is wrong; how much that matters; part of what is said.
MISTAKES: list[tuple[Sequence[str], int, Severity, str]] = [
    # A switch with a misspelt value.
    ((*FAST, "fastrouter-cheap = flase"), 4, ERROR, "expected true or false"),
    ((*GOOD, "http-websockets = enabled"), 4, ERROR, "expected true or false"),
    ((*FAST, "no-defer-accept = ture"), 4, ERROR, "expected true or false"),
    # A bare port.
    (("http = 8080", GOOD[1]), 2, ERROR, "for a port write :8080, a path needs a slash"),
    ((GOOD[0], "http-to = 8000"), 3, ERROR, "write 127.0.0.1:8000"),
    ((*GOOD, "http-stats = 9191"), 4, ERROR, "write :9191"),
    ((GOOD[0], "http-subscription-server = 9191"), 3, ERROR, "write :9191"),
    ((*GOOD, "http-fallback = 9191"), 4, ERROR, "write 127.0.0.1:9191"),
    ((*GOOD, "control-socket = 9191"), 4, ERROR, "a path needs a slash"),
    # Variables and placeholders that stand for nothing.
    ((*GOOD, "logto = $(NOWHERE)/log"), 4, DEPENDS, "the environment has no variable NOWHERE"),
    ((*GOOD, "pidfile = %(nowhere)/pid"), 4, ERROR, "%(nowhere) is not defined"),
    ((GOOD[0], "http-to = 127.0.0.1:%(port)"), 3, ERROR, "%(port) is not defined"),
    ((*GOOD, "http-timeout = %(time)"), 4, ERROR, "%(time) is not defined"),
    # Users and groups.
    ((*GOOD, "uid = no-such-user"), 4, ERROR, "no such user"),
    ((*GOOD, "gid = no-such-group"), 4, ERROR, "no such group"),
    ((*GOOD, "http-uid = no-such-user"), 4, ERROR, "no such user"),
    ((*GOOD, "add-gid = no-such-group"), 4, ERROR, "no such group"),
    # Code.
    ((GOOD[0], "http-use-code-string = 0:/no/such.py:f"), 3, ERROR, "No such file"),
    ((GOOD[0], "http-use-code-string = 0:./mapper.py:other"), 3, ERROR, "has no function other"),
    ((GOOD[0], "http-use-code-string = 0:./broken.py:f"), 3, ERROR, "broken.py:1: "),
    # Files.
    ((*GOOD, "http-error-page = 502:/no/such"), 4, ERROR, "there is no such file"),
    ((*GOOD, "cache = 5", "load-file-in-cache = /no/such"), 5, ERROR, "the file can't be read"),
    ((*GOOD, "http-access-log = /no/such/log"), 4, ERROR, "there is no directory /no/such"),
    (
        (
            "rawrouter = 127.0.0.1:9071",
            "rawrouter-to = /n.sock",
            "rawrouter-access-log = /no/such/log",
        ),
        4,
        ERROR,
        "rawrouter-access-log = /no/such/log: there is no directory /no/such",
    ),
    ((*GOOD, "logto = /no/such/log"), 4, ERROR, "there is no directory /no/such"),
    ((*GOOD, "pidfile = /no/such/pid"), 4, ERROR, "there is no directory /no/such"),
    ((*GOOD, "safe-pidfile = /no/such/pid"), 4, ERROR, "there is no directory /no/such"),
    ((*GOOD, "chdir = /no/such"), 4, ERROR, "there is no such directory"),
    (
        (*GOOD, "http-acme-webroot = /no/such"),
        4,
        ERROR,
        "there is no such directory",
    ),
    (
        (*GOOD, "http-post-buffering = 5", "http-post-buffering-dir = /no/such"),
        5,
        ERROR,
        "no directory",
    ),
    (("http = /no/such/socket", GOOD[1]), 2, ERROR, "there is no directory /no/such"),
    (("http = /run/no/such/socket", GOOD[1]), 2, DEPENDS, "there is no directory /run/no/such"),
    (
        (
            "http = :8080",
            "http-subscription-server = 127.0.0.1:1",
            "subscription-state = /no/such/s",
        ),
        4,
        ERROR,
        "there is no directory /no/such",
    ),
    # Addresses.
    (("http = 127.0.0.1:80", "http = :80", GOOD[1]), 3, ERROR, "127.0.0.1:80 listens there"),
    (("http = :80", "http = :80", GOOD[1]), 3, ERROR, "it is given twice"),
    (("http = [::]:80", "http = 127.0.0.1:80", GOOD[1]), 3, ERROR, "[::]:80 listens there"),
    ((*GOOD, "fastrouter = localhost:8080", FAST[1]), 2, ERROR, "localhost:8080 listens"),
    ((*GOOD, "http-stats = 127.0.0.1:8080"), 4, ERROR, "http = 127.0.0.1:8080 listens there"),
    ((*GOOD, "http-to-https = 127.0.0.1:8080"), 4, ERROR, "http = 127.0.0.1:8080 listens there"),
    ((*GOOD, "http-to-https = :8080,8443"), 4, ERROR, "http = 127.0.0.1:8080 listens there"),
    # Only what serves the same can share a port.
    (
        (*GOOD, "reuse-port = true", "http-to-https = 127.0.0.1:8080"),
        5,
        ERROR,
        "http = 127.0.0.1:8080 listens there",
    ),
    (("http = /run/x", "http = /run/x", GOOD[1], "reuse-port = true"), 3, ERROR, "given twice"),
    (("http = /run/x", GOOD[1], "http-stats = /run/../run/x"), 4, ERROR, "http = /run/x listens"),
    (
        (
            "http = :1",
            "http-subscription-server = 127.0.0.1:2",
            "fastrouter = 127.0.0.1:3",
            "fastrouter-subscription-server = 0.0.0.0:2",
        ),
        5,
        ERROR,
        "http-subscription-server = 127.0.0.1:2 listens there already",
    ),
    # Keys and certificates.
    ((*SUBSCRIBED, "subscriptions-sign-check = SHA256:/no/such"), 4, ERROR, "is no directory that"),
    ((*SUBSCRIBED, "sni-allow-dir = /no/such"), 4, ERROR, "/no/such"),
    (
        (
            "http = :1",
            "http-subscription-server = ./s",
            "subscriptions-use-credentials = true",
            "subscriptions-credentials-check = /no/such",
        ),
        5,
        ERROR,
        "there is no such directory",
    ),
    # A node that is the router.
    ((GOOD[0], "http-to = 127.0.0.1:8080"), 3, ERROR, "is this router itself"),
    (("http = :8080", "http-to = localhost:8080"), 3, ERROR, "is this router itself"),
    (("http = /run/x", "http-to = /run/x"), 3, ERROR, "is this router itself"),
    ((*GOOD, "http-fallback = 127.0.0.1:8080"), 4, ERROR, "is this router itself"),
    # Contradictions and what has no effect.
    ((*GOOD, "http-timeout = 5", "http-timeout = 6"), 5, WARNING, "this line counts"),
    ((*GOOD, "uid = root", "uid = 0"), 5, WARNING, "router.ini:4 says root"),
    ((*GOOD, "http-hold = 5"), 4, WARNING, "without http-subscription-server has no effect"),
    ((*GOOD, "http-hold-max = 5"), 4, WARNING, "without http-subscription-server has no"),
    ((*GOOD, "http-code-timeout = 6"), 4, WARNING, "without http-use-code-string has no effect"),
    ((*GOOD, "cache-blocksize = 5"), 4, WARNING, "without cache has no effect"),
    # Open to everybody.
    (("fastrouter = :3031", FAST[1]), 2, WARNING, "every machine that reaches it is believed"),
    (("fastrouter = [::]:3031", FAST[1]), 2, WARNING, "every machine that reaches it is believed"),
    # The part of a value that is wrong.
    ((*GOOD, "cache2 = name=a,items=5,blocksize=1k,keysize=9"), 4, ERROR, "for blocksize, not 1k"),
    ((*GOOD, "cache2 = name=a,items=5,lru=ture"), 4, ERROR, "for lru"),
]


@pytest.mark.parametrize(("lines", "number", "severity", "text"), MISTAKES)
def test_a_mistake_is_found_at_its_place(
    lines: Sequence[str], number: int, severity: Severity, text: str, checked: Checked
) -> None:
    checked.path.with_name("mapper.py").write_text("def f(key):\n    return None\n")
    checked.path.with_name("broken.py").write_text("def f(\n")
    found = checked.problems(*lines)
    (wrong,) = [one for one in found if text in one.message]
    assert (wrong.where, wrong.severity) == (f"{checked.path}:{number}", severity)
    # And it is all that is wrong, apart from warnings that the lines deserve.
    assert [one for one in found if one.severity is not WARNING and one != wrong] == []


@pytest.mark.parametrize(
    "lines",
    [
        GOOD,
        FAST,
        ("http = :0", "http = :0", GOOD[1]),
        ("http = 127.0.0.1:1", "http = 127.0.0.2:1", "http-to = 127.0.0.3:1"),
        ("http = 127.0.0.1:1", "http-subscription-server = 127.0.0.1:1"),
        ("http = [::1]:1", "http = 0.0.0.0:1", "http-to = 127.0.0.1:2"),
        ("http = :1", "http = :1", GOOD[1], "reuse-port = true"),
        (
            "http = :1",
            "http-subscription-server = 127.0.0.1:2",
            "fastrouter = 127.0.0.1:3",
            "fastrouter-subscription-server = 127.0.0.1:2",
        ),
        (*GOOD, "http-var = A=%(b)", "env = C=$(D)"),
        (*GOOD, "for = 5 5", "http-timeout = %(_)", "endfor ="),
        (GOOD[0], "http-use-code-string = 0:./mapper.py:f"),
        (GOOD[0], "http-use-code-string = 0:./star.py:anything"),
    ],
)
def test_what_is_in_order_is_left_alone(lines: Sequence[str], checked: Checked) -> None:
    checked.path.with_name("mapper.py").write_text("f = lambda key: None\n")
    checked.path.with_name("star.py").write_text("from os.path import *\n")
    assert checked.problems(*lines) == []


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory of root's that every user gets to, unlike pytest's own."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes somebody else")
    with tempfile.TemporaryDirectory(prefix="prepare-") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


def test_the_user_that_the_router_becomes_must_be_able_to_write(
    checked: Checked, open_to_all: Path
) -> None:
    state = open_to_all / "state"
    lines = ("http = :1", "http-subscription-server = 127.0.0.1:2", f"subscription-state = {state}")
    assert checked.problems(*lines) == []
    (wrong,) = checked.problems(*lines, "uid = 12345")
    assert wrong.message.endswith(f"the user 12345 may not write into {open_to_all}")
    assert wrong.where.endswith(":4")
    os.chown(open_to_all, 12345, 0)
    assert checked.problems(*lines, "uid = 12345") == []


@pytest.mark.parametrize("option", ["logto", "http-access-log"])
def test_a_log_that_can_not_be_opened_again_is_warned_of(
    option: str, checked: Checked, open_to_all: Path
) -> None:
    logs = open_to_all / "logs"
    logs.mkdir()
    log = logs / "log"
    lines = (*GOOD, "uid = 12345", f"{option} = {log}")
    (wrong,) = checked.problems(*lines)
    assert f"{option} = {log}: the user 12345 may not write into {logs}, " in wrong.message
    assert (wrong.severity, wrong.where) == (WARNING, f"{checked.path}:5")
    os.chown(logs, 12345, 0)
    # A file of root's is given to that user, one of a third user is not.
    log.touch()
    assert checked.problems(*lines) == []
    os.chown(log, 54321, 54321)
    (wrong,) = checked.problems(*lines)
    assert f"the user 12345 may not write {log}, so USR1" in wrong.message
    os.chown(log, 12345, 0)
    # Nobody gets to a directory below one that may not be searched.
    open_to_all.chmod(0o700)
    assert len(checked.problems(*lines)) == 1
    assert checked.problems(*GOOD, f"{option} = {log}") == []


def test_seven_mistakes_are_found_in_one_round(checked: Checked) -> None:
    found = checked.problems(
        "http = 8080",
        "http-to = 8000",
        "http-websockets = yse",
        "uid = no-such-user",
        "http-access-log = /no/such/log",
        "pidfile = %(where)",
        "cache2 = name=a",
    )
    places = [one.where.rpartition(":")[2] for one in found if one.severity is ERROR]
    assert places == list("2345678")


def test_start_and_check_say_the_same(checked: Checked, capsys: pytest.CaptureFixture[str]) -> None:
    checked.problems("http = 127.0.0.1:1", "http-to = 127.0.0.1:1", "uid = no-such-user")
    assert main(["check", os.fspath(checked.path)]) == 1
    told = [line.strip() for line in capsys.readouterr().out.splitlines() if ".ini:" in line]
    assert main([os.fspath(checked.path)]) == 1
    started = capsys.readouterr().err.splitlines()
    assert [line.removeprefix("uwsgi-router: ") for line in started] == told[:-1]
    assert re.search("2 errors", told[-1])

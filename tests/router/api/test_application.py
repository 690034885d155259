"""Applications in Python: parameters are the command's options; a program runs, is rolled out, and stops."""

import inspect
import os
import re
import sys
import urllib.request
from pathlib import Path

import pytest

from uwsgi_router import Application, ParameterError, RolloutFailed, StartError
from uwsgi_router.router.config.app import words_of_serve

SERVER = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]


def test_parameters_are_the_options_of_serve() -> None:
    parameters = set(inspect.signature(Application).parameters) - {"name", "options"}
    # Where it is asked is the object's own matter.
    options = {one.name.replace("-", "_") for one in words_of_serve()} - {"control_socket"}
    assert parameters == options


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"replicas": 0}, "Application(replicas=0): expected a whole number from 1 to 1000"),
        ({"health": "up"}, "Application(health='up'): expected a path"),
        ({"max_rss": "much"}, "Application(max_rss='much'): expected a size"),
        ({"http": "nowhere:x"}, "Application(http='nowhere:x'): "),
        ({"command": ""}, "Application(command=''): expected a program"),
    ],
)
def test_wrong_parameters_say_what_was_expected(parameters: dict[str, object], says: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(says)):
        Application(**{"command": SERVER, **parameters})  # type: ignore[arg-type]


def test_it_serves_is_rolled_out_and_stops(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    with Application(SERVER, replicas=1, cwd=str(tmp_path), env={"A": "b"}) as application:
        with urllib.request.urlopen(application.url) as answer:
            assert answer.read() == b"hello"
        (before,) = application.copies()
        assert (before.state, before.generation) == ("serving", 1)
        assert b"A=b" in Path(f"/proc/{before.pid}/environ").read_bytes().split(b"\0")
        application.rollout()
        (after,) = application.copies()
        assert (after.generation, os.path.exists(f"/proc/{before.pid}")) == (2, False)
    assert not os.path.exists(f"/proc/{after.pid}")
    with pytest.raises(RuntimeError, match="does not run"):
        application.copies()


def test_a_broken_build_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nexec {' '.join(SERVER[:-1])} $1\n")
    program.chmod(0o755)
    with Application([str(program), "{port}"], replicas=1) as application:
        program.write_text("#!/bin/sh\necho broken; exit 3\n")
        with pytest.raises(RolloutFailed, match="ended with exit code 3") as failure:
            application.rollout()
        assert failure.value.lines == ("broken",)
        with urllib.request.urlopen(application.url) as answer:
            assert answer.status == 200


def test_what_can_not_be_started_says_so() -> None:
    with pytest.raises(StartError, match="it ended with code 127"):
        Application(["no-such-program"]).start()

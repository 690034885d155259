"""Processes of copies: sessions, where they listen, what they use."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.waiting import wait_until
from uwsgi_router.subscriptions.application.listening import advice, listeners_of
from uwsgi_router.subscriptions.application.memory import memory_of
from uwsgi_router.subscriptions.application.program import (
    CopyLaunch,
    CopyProcess,
    session,
)
from uwsgi_router.subscriptions.client.starting import CannotStart

WAIT = "import time; time.sleep(600)"


@pytest.fixture
def started() -> Iterator[list[CopyProcess]]:
    processes: list[CopyProcess] = []
    yield processes
    for process in processes:
        process.kill()
        try:
            os.waitpid(process.pid, 0)
        except ChildProcessError:
            pass
        for descriptor in process.output:
            os.close(descriptor)


def start(started: list[CopyProcess], *arguments: str, **more: Any) -> CopyProcess:
    process = CopyProcess(CopyLaunch(arguments, dict(os.environ), **more))
    started.append(process)
    return process


def test_all_that_it_starts_ends_with_it(started: list[CopyProcess]) -> None:
    shell = f"{sys.executable} -c '{WAIT}' & wait"
    process = start(started, "sh", "-c", shell)
    wait_until(lambda: len(session(process.pid)) == 2, "two processes")
    (child,) = session(process.pid) - {process.pid}
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.end()
    wait_until(lambda: not os.path.exists(f"/proc/{child}") or _is_zombie(child), "it has ended")
    assert process.signal(signal.SIGTERM) is None


def _is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] == b"Z"


def test_its_output_comes_over_pipes(started: list[CopyProcess]) -> None:
    process = start(started, "sh", "-c", "echo out; echo err >&2")
    os.waitpid(process.pid, 0)
    assert [os.read(descriptor, 100) for descriptor in process.output] == [b"out\n", b"err\n"]


def test_what_inherits_has_our_descriptors_and_leaves_its_session_alone(
    started: list[CopyProcess],
) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    shell = f"{sys.executable} -c '{WAIT}' & echo $! >&{writing}; exit 3"
    process = start(started, "bash", "-c", shell, inherits=True)
    os.close(writing)
    assert process.output == ()
    left = int(os.read(reading, 20))
    os.close(reading)
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        process.end()
        assert session(process.pid) - {process.pid} == {left}
    finally:
        os.kill(left, signal.SIGKILL)


@pytest.mark.parametrize(
    ("arguments", "more", "code", "says"),
    [
        (("no-such-program",), {}, 127, "no such program"),
        (("/etc/passwd",), {}, 126, "can't be run: Permission denied"),
        (("sh",), {"cwd": "/no/such"}, 126, "there is no directory /no/such"),
        (("sh",), {"user": "no-such-user"}, 126, "can't be run"),
        (("sh", "a\0b"), {}, 126, "can't be run"),
    ],
)
def test_what_can_not_be_started_says_why(
    arguments: tuple[str, ...], more: dict[str, Any], code: int, says: str
) -> None:
    with pytest.raises(CannotStart, match=says) as error:
        CopyProcess(CopyLaunch(arguments, dict(os.environ), **more))
    assert error.value.code == code


def test_where_a_session_listens(started: list[CopyProcess], tmp_path: str) -> None:
    code = f"""
import socket, time
a = socket.socket(); a.bind(("127.0.0.1", 0)); a.listen()
b = socket.socket(socket.AF_INET6); b.bind(("::1", 0)); b.listen()
c = socket.socket(socket.AF_UNIX); c.bind("{tmp_path}/s"); c.listen()
d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.bind(("127.0.0.1", 0))
print(a.getsockname()[1], b.getsockname()[1], flush=True)
time.sleep(600)
"""
    process = start(started, sys.executable, "-c", code)
    wait_until(lambda: len(listeners_of(process.pid)) == 3, "it listens")
    os.set_blocking(process.output[0], True)
    four, six = os.read(process.output[0], 100).decode().split()
    expected = sorted([f"127.0.0.1:{four}", f"[::1]:{six}", f"{tmp_path}/s"])
    assert listeners_of(process.pid) == expected
    assert memory_of(process.pid) > 2**20
    with socket.create_connection(("127.0.0.1", int(four)), 5):
        pass


def test_advice_names_the_servers_option() -> None:
    line = advice(["/opt/bin/uvicorn", "app:app"], "127.0.0.1:4000", ["127.0.0.1:8000"])
    assert line == (
        "it listens on 127.0.0.1:8000, and was expected on 127.0.0.1:4000:"
        " write uvicorn … --port {port}, or --uds {socket}"
    )
    assert "python3 -m http.server" in advice(["python3", "-m", "http.server"], "a:1", [])
    assert "{address} (127.0.0.1:PORT)" in advice(["./mine"], "a:1", [])

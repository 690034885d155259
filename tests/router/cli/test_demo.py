"""``uwsgi-router demo`` as a newcomer meets it: in its own process, followed to the letter."""

import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.processes import run

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-P", "-m", "uwsgi_router"]
PATIENCE = 20.0


class Demo:
    """A running demo.

    Attributes:
        process: its main process.
        text: what it printed for its user.
    """

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.log = ""
        self.text = self._read_stdout_until("Ctrl-C ends it all.")
        self.router = self._found(r"fastrouter on (\S+),")
        self.web, self.url = re.findall(r"curl (\S+)", self.text)
        self.pids = {name: int(pid) for name, pid in re.findall(r"(\w+) \(pid (\d+)\)", self.text)}

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, self.text)
        assert found, self.text
        return found[1]

    def _read_stdout_until(self, wanted: str) -> str:
        assert self.process.stdout
        return _read_until(self.process.stdout.fileno(), wanted)

    def read_log_until(self, wanted: str) -> None:
        assert self.process.stderr
        self.log += _read_until(self.process.stderr.fileno(), wanted)

    def read_until_gone(self, name: str) -> None:
        """Wait until the demo says that a vassal is gone."""
        self._read_stdout_until(f"The node {name} (pid {self.pids[name]}) is gone.")

    def get(self, host: str = "demo.example") -> str:
        """Paste the line that the demo printed."""
        pasted = [*COMMAND, "get", self.router, "/", "-H", host]
        done = subprocess.run(pasted, capture_output=True, text=True, check=False, timeout=PATIENCE)
        return done.stdout or done.stderr

    def open(self) -> str:
        """Open the address that the demo printed, as a browser does."""
        with urllib.request.urlopen(self.web, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
        return text

    def stats(self) -> Any:
        with urllib.request.urlopen(self.url, timeout=PATIENCE) as answer:
            return json.load(answer)

    def node_addresses(self) -> list[tuple[str, int]]:
        nodes = self.stats()["subscriptions"][0]["nodes"]
        names = [node["name"].rsplit(":", 1) for node in nodes]
        return [(host, int(port)) for host, port in names]


def _read_until(fd: int, wanted: str) -> str:
    """Read a pipe until ``wanted`` was seen."""
    seen = ""
    end = time.monotonic() + PATIENCE
    while wanted not in seen:
        left = max(0.0, end - time.monotonic())
        assert select.select([fd], [], [], left)[0], f"{wanted!r} did not come: {seen}"
        data = os.read(fd, 65_536)
        assert data, f"the demo ended without {wanted!r}: {seen}"
        seen += data.decode()
    return seen


def wait_until_gone(pid: int) -> None:
    """Wait until this process has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], PATIENCE)[0], f"process {pid} is still there"
    finally:
        os.close(handle)


@pytest.fixture
def demo() -> Iterator[Demo]:
    demo = Demo()
    # Both have announced themselves once the table shows the second.
    demo.read_log_until("new node")
    if demo.log.count("new node") < 2:
        demo.read_log_until("new node")
    yield demo
    if demo.process.poll() is None:
        demo.process.send_signal(signal.SIGINT)
    demo.process.communicate(timeout=PATIENCE)


def test_the_demo_does_what_its_text_says_and_leaves_nothing_behind(demo: Demo) -> None:
    first, second = demo.get(), demo.get()
    answers = {first.split(",")[0], second.split(",")[0]}
    assert answers == {"Hello from node blue", "Hello from node green"}

    pages = {demo.open().split(",")[0] for _ in range(2)}
    assert pages == answers

    os.kill(demo.pids["blue"], signal.SIGKILL)
    demo.read_until_gone("blue")
    for _ in range(4):
        assert demo.open().startswith("Hello from node green")
        assert demo.get().startswith(f"Hello from node green, pid {demo.pids['green']}: ")

    pool = demo.stats()["subscriptions"][0]
    assert pool["key"] == "demo.example"
    assert sum(node["requests"] for node in pool["nodes"]) >= 5

    assert "closed the connection without an answer" in demo.get("nobody.example")

    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(PATIENCE) == 0
    for pid in demo.pids.values():
        wait_until_gone(pid)


def test_a_browser_keeps_its_connection(demo: Demo) -> None:
    connection = http.client.HTTPConnection(demo.web.split("/")[2], timeout=PATIENCE)
    answers = set()
    for path in ("/", "/favicon.ico"):
        connection.request("GET", path)
        sock = connection.sock
        answers.add(connection.getresponse().read().decode().split(",")[0])
        assert connection.sock is sock is not None
    connection.close()
    assert len(answers) == 2


def test_a_vassal_that_is_told_to_stop_unsubscribes_first(demo: Demo) -> None:
    os.kill(demo.pids["green"], signal.SIGTERM)
    demo.read_until_gone("green")
    nodes = demo.stats()["subscriptions"][0]["nodes"]
    assert len(nodes) == 1
    for _ in range(2):
        assert demo.get().startswith("Hello from node blue")


def test_term_ends_it_too(demo: Demo) -> None:
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(PATIENCE) == 0
    for pid in demo.pids.values():
        wait_until_gone(pid)


def test_the_vassals_end_with_a_demo_that_was_killed(demo: Demo) -> None:
    demo.process.kill()
    for pid in demo.pids.values():
        wait_until_gone(pid)


def test_a_client_that_speaks_nonsense_does_not_end_a_vassal(demo: Demo) -> None:
    for address in demo.node_addresses():
        for nonsense in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\0\5\0\0\0\0", b"\0\4\0\0\xff\xffab"):
            with socket.create_connection(address, timeout=PATIENCE) as sock:
                sock.sendall(nonsense)
                sock.shutdown(socket.SHUT_WR)
                # It closes, maybe at once, maybe with a reset because it left bytes unread.
                try:
                    assert sock.recv(10) == b""
                except ConnectionResetError:
                    pass
    answers = {demo.get().split(",")[0] for _ in range(2)}
    assert len(answers) == 2


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("extra", 2)])
def test_it_takes_no_arguments(argument: str, status: int) -> None:
    done = run(*COMMAND, "demo", argument)
    assert done.returncode == status
    assert (done.stdout + done.stderr).startswith("usage: uwsgi-router demo")

"""systemd: what it is told, sockets that it opens, the units of the documentation."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.clients import Client
from tests.lab.place import Place
from tests.lab.processes import free_port
from tests.lab.reloaded import Reloaded
from tests.lab.steady import NamedNodes
from tests.lab.waiting import wait_until

ACTIVATE = shutil.which("systemd-socket-activate")
ANALYZE = shutil.which("systemd-analyze")


class Manager:
    """A service manager that listens."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "manager.sock")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(60.0)
        self.heard: list[list[str]] = []

    def wait_for(self, word: str) -> list[str]:
        while True:
            lines = self.sock.recv(4096).decode().splitlines()
            self.heard.append(lines)
            if any(line.startswith(word) for line in lines):
                return lines


def test_it_hears_of_the_start_reloads_numbers_signs_of_life_and_the_end(
    lab: Place, nodes: NamedNodes
) -> None:
    manager = Manager(lab.directory)
    lab.closing(manager.sock)
    router = Reloaded(lab)
    router.write(Reloaded.to(nodes, "one"))
    env = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "600000", "WATCHDOG_PID": None}
    program = lab.program("router", programs.uwsgi_router(), str(router.ini), env=env)
    ready = manager.wait_for("READY=1")
    assert ready[1] == "STATUS=serving: 1 worker, 0 connections, 0 requests running"
    assert manager.wait_for("WATCHDOG=1") == ["WATCHDOG=1"]
    with Client(router.address) as client:
        client.get("/")
        status = manager.wait_for("STATUS=")
        assert status == ["STATUS=serving: 1 worker, 1 connections, 0 requests running"]
    before = time.monotonic_ns() // 1000
    program.signal(signal.SIGHUP)
    reloading = manager.wait_for("RELOADING=1")
    microseconds = int(reloading[1].removeprefix("MONOTONIC_USEC="))
    assert before <= microseconds <= time.monotonic_ns() // 1000
    manager.wait_for("READY=1")
    # It goes on in the program that has executed itself.
    manager.wait_for("WATCHDOG=1")
    program.signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    assert program.wait() == 0


def test_there_is_no_sign_of_life_while_a_worker_is_stuck(lab: Place, nodes: NamedNodes) -> None:
    manager = Manager(lab.directory)
    lab.closing(manager.sock)
    router = Reloaded(lab)
    router.write(Reloaded.to(nodes, "one"))
    env = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "600000", "WATCHDOG_PID": None}
    router.command = lab.program("router", programs.uwsgi_router(), str(router.ini), env=env)  # type: ignore[assignment]
    manager.wait_for("WATCHDOG=1")
    (worker,) = router.workers()
    os.kill(worker, signal.SIGSTOP)
    manager.sock.settimeout(3.0)

    def silent() -> bool:
        try:
            manager.wait_for("WATCHDOG=1")
        except TimeoutError:
            return True
        return False

    wait_until(silent, "it is silent")
    os.kill(worker, signal.SIGCONT)
    manager.sock.settimeout(60.0)
    manager.wait_for("WATCHDOG=1")


@pytest.mark.skipif(ACTIVATE is None, reason="there is no systemd-socket-activate")
def test_sockets_of_socket_units_survive_reloads(lab: Place, nodes: NamedNodes) -> None:
    address = f"127.0.0.1:{free_port()}"
    router = Reloaded(lab)
    router.write(Reloaded.to(nodes, "one"), f"http = {address}")
    assert ACTIVATE is not None
    activated = lab.program(
        "activated", ACTIVATE, f"--listen={address}", programs.uwsgi_router(), str(router.ini)
    )
    activated.wait_for_output("Listening on")
    # Whoever comes first starts it.
    with Client(address, 30.0) as client:
        assert client.get("/").body == b"one"
    router.write(Reloaded.to(nodes, "two"), f"http = {address}")
    for _ in range(2):
        assert router.reload_and_wait(router.pidfile).returncode == 0
        with Client(address, 30.0) as client:
            assert client.get("/").body == b"two"
    assert "is not in the configuration" not in activated.output()


def units() -> dict[str, str]:
    """The units of the page about running it, by their file names."""
    page = (programs.ROOT / "docs" / "running.md").read_text()
    found = re.findall(r"`/etc/systemd/system/(\S+)`[^`]*?```systemd\n(.*?)```", page, re.DOTALL)
    return dict(found)


@pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze")
def test_the_units_of_the_documentation_are_right_and_safe(tmp_path: Path) -> None:
    found = units()
    assert sorted(found) == ["uwsgi-router.service", "uwsgi-router.socket"]
    command = tmp_path / "uwsgi-router"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    for name, text in found.items():
        unit = text.replace("/opt/uwsgi-router/bin/uwsgi-router", str(command))
        (tmp_path / name).write_text(unit)
    paths = [str(tmp_path / name) for name in found]
    assert ANALYZE is not None
    # Without the machine's own units, of whatever state.
    env = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:/lib/systemd/system"}
    argv = [ANALYZE, "verify", "--man=no", "--recursive-errors=no", *paths]
    verified = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    argv = [ANALYZE, "security", "--offline=true", "--threshold=25", paths[0]]
    secure = subprocess.run(
        [*argv[:-1], str(tmp_path / "uwsgi-router.service")],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert secure.returncode == 0, secure.stdout[-3000:] + secure.stderr

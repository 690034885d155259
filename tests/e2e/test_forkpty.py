"""The forkpty router as a program, with uWSGI's client; our client with uWSGI's router."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.clients import Client, connected
from tests.lab.commands import Command
from tests.lab.leftovers import leaves_nothing_behind
from tests.lab.place import Place
from tests.lab.processes import Process
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.pty import encode_input


class Screen:
    """A program on a terminal that the test types at."""

    def __init__(self, *argv: str, rows: int = 24, cols: int = 80) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, cols)
        self._popen = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )  # fmt: skip
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.seen = b""

    def resize(self, rows: int, cols: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, text: str, seconds: float = 15.0) -> str:
        """What was shown, up to ``text``."""
        end = time.monotonic() + seconds
        while text.encode() not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} is not in {self.seen!r}"
            self.seen += os.read(self.master, 65_536)
        found, _, self.seen = self.seen.partition(text.encode())
        return found.decode()

    def ask_until(self, line: str, text: str) -> None:
        """Type a line until it shows a text: a client may hear of its window later than of what is typed."""
        for _ in range(100):
            self.type(line)
            if text in self.until("# "):
                return
        raise AssertionError(f"{text!r} is never shown")

    def ends(self) -> int:
        """Wait for its end; return the exit status."""
        return self._popen.wait(15)

    def close(self) -> None:
        if self._popen.poll() is None:
            os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()
        os.close(self.master)
        os.close(self.slave)


class Terminals:
    """Routers of both kinds, and clients."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.directory = place.directory
        self.raw = str(self.directory / "raw.sock")
        self.packets = str(self.directory / "packets.sock")
        self.stats = str(self.directory / "stats.sock")
        self.screens: list[Screen] = []

    def ours(self, *options: str) -> Command:
        return self.place.command(
            f"--forkptyrouter={self.raw}",
            f"--forkptyurouter={self.packets}",
            f"--forkptyrouter-stats={self.stats}",
            "--forkptyrouter-command=exec /bin/sh -i",
            *options,
        )

    def uwsgis(self) -> Process:
        argv = [programs.uwsgi(), *programs.uwsgi_plugins("forkptyrouter"), "--master"]
        argv += [f"--forkptyrouter={self.raw}", f"--forkptyurouter={self.packets}"]
        argv += ["--forkptyrouter-command=exec /bin/sh -i"]
        router = self.place.program("uwsgi", *argv, env={"NOTIFY_SOCKET": None})
        wait_until(lambda: Path(self.packets).exists() and Path(self.raw).exists(), "it listens")
        return router

    def screen(self, *argv: str, **window: int) -> Screen:
        """A client with a shell that waits for a line."""
        screen = Screen(*argv, **window)
        self.screens.append(screen)
        screen.until(" ")
        return screen

    def client_of_uwsgi(self, option: str, address: str, **window: int) -> Screen:
        plugin = programs.uwsgi_plugins("pty")
        return self.screen(programs.uwsgi(), *plugin, option, address, **window)

    def document(self) -> dict[str, object]:
        with Client(self.stats) as client:
            found: dict[str, object] = json.loads(client.rest())
        return found


@pytest.fixture
def terminals(lab: Place) -> Iterator[Terminals]:
    made = Terminals(lab)
    yield made
    for screen in made.screens:
        screen.close()


pytestmark = pytest.mark.peers


@pytest.mark.parametrize("who", ["ours", "uwsgi"])
@pytest.mark.parametrize("kind", ["raw", "packets"])
def test_every_client_works_with_our_router(terminals: Terminals, who: str, kind: str) -> None:
    router = terminals.ours()
    address = getattr(terminals, kind)
    if who == "uwsgi":
        option = "--pty-connect" if kind == "raw" else "--pty-uconnect"
        screen = terminals.client_of_uwsgi(option, address, rows=33, cols=111)
    else:
        raw = ["--raw"] if kind == "raw" else []
        screen = terminals.screen(programs.uwsgi_router(), "pty", address, *raw, rows=33, cols=111)
    screen.type("echo $((40 + 2)); stty size\r")
    screen.until("42\r\n")
    size = "24 80" if kind == "raw" else "33 111"
    screen.until(size)
    if kind == "packets":
        screen.resize(40, 100)
        screen.ask_until("stty size\r", "40 100")
    assert terminals.document()["active_sessions"] == 1
    screen.type("exit\r")
    assert screen.ends() == 0
    wait_until(lambda: terminals.document()["programs"] == 0, "the shell is reaped")
    router.stop()
    assert not Path(terminals.raw).exists()


@pytest.mark.parametrize("kind", ["raw", "packets"])
def test_our_client_works_with_uwsgis_router(terminals: Terminals, kind: str) -> None:
    terminals.uwsgis()
    raw = ["--raw"] if kind == "raw" else []
    screen = terminals.screen(
        programs.uwsgi_router(), "pty", getattr(terminals, kind), *raw, rows=33, cols=111
    )
    screen.type("echo $((40 + 2)); stty size\r")
    screen.until("42\r\n")
    screen.until("24 80" if kind == "raw" else "33 111")
    # Longer than a packet that uWSGI's router takes, and more than one in a read, of which it would lose all but one.
    screen.type("stty raw -echo; echo rea''dy; head -c 12000 | tr -d x | wc -c; stty sane\r")
    screen.until("ready")
    screen.type("x" * 5990 + "y" * 20)
    screen.type("x" * 5990)
    screen.until("20\n")
    screen.until(" ")
    screen.type("exit\r")
    assert screen.ends() == 0


def test_ctrl_c_passes_and_the_escape_leaves(terminals: Terminals) -> None:
    terminals.ours()
    screen = terminals.screen(programs.uwsgi_router(), "pty", terminals.packets)
    screen.type("sh -c \"echo rea''dy; exec sleep 100\"\r")
    screen.until("ready")
    screen.type("\x03")
    screen.type("echo again $((40 + 2))\r")
    screen.until("again 42")
    screen.type("\r~.")
    assert screen.ends() == 0
    assert termios.tcgetattr(screen.slave) == screen.before
    wait_until(lambda: terminals.document()["programs"] == 0, "the shell is reaped")


def test_options_of_uwsgis_client_make_one_of_the_command(terminals: Terminals) -> None:
    terminals.ours()
    screen = terminals.screen(
        programs.uwsgi_router(), "--plugin=pty", f"--pty-uconnect={terminals.packets}", rows=20
    )
    screen.type("stty size; exit\r")
    screen.until("20 80")
    assert screen.ends() == 0


def test_a_command_is_typed_and_its_output_comes_back(terminals: Terminals) -> None:
    terminals.ours()
    done = subprocess.run(
        [programs.uwsgi_router(), "pty", terminals.packets, "--", "echo", "a  b", "$HOME"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert "\na  b $HOME\n" in done.stdout.replace("\r", "")


def test_input_from_a_pipe_is_a_script(terminals: Terminals) -> None:
    terminals.ours()
    done = subprocess.run(
        [programs.uwsgi_router(), "pty", terminals.raw, "--raw"],
        input="echo $((40 + 2))\n", capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    # Whether the shell's prompt or the echo of the line is the first to come is a race.
    assert "42" in [line.removeprefix("# ") for line in done.stdout.replace("\r", "").splitlines()]


def test_where_nobody_listens_is_1_with_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [programs.uwsgi_router(), "pty", f"{tmp_path}/no.sock"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"uwsgi-router pty: cannot connect to {tmp_path}/no.sock: No such file or directory\n"
    )


# --- its process ---


def test_a_thousand_sessions_leave_nothing_behind(terminals: Terminals) -> None:
    """Half of them end in order, half with bytes that nobody has read; with packets and without."""
    terminals.ours("--forkptyrouter-command=/bin/cat")
    pid = terminals.document()["pid"]
    assert isinstance(pid, int)

    def drop(count: int) -> None:
        for _ in range(count // 40):
            clients = [
                connected((terminals.raw, terminals.packets)[number % 2]) for number in range(40)
            ]
            for number, client in enumerate(clients):
                client.sendall(b"".join(encode_input(b"x\n")) if number % 2 else b"x\n")
            for client in clients[: len(clients) // 2]:
                assert client.recv(100)
            for client in clients:
                client.close()
            wait_until(lambda: terminals.document()["programs"] == 0, "all are reaped")

    leaves_nothing_behind(pid, drop)


def test_a_router_that_died_is_started_again(terminals: Terminals) -> None:
    router = terminals.ours()
    first = terminals.document()["pid"]
    assert isinstance(first, int)
    os.kill(first, signal.SIGKILL)
    router.wait_for_output("has ended (signal 9, SIGKILL), it starts again at once")
    second = wait_until(lambda: terminals.document()["pid"], "it answers again")
    assert second not in (first, router.pid)
    screen = terminals.screen(programs.uwsgi_router(), "pty", terminals.packets)
    screen.type("echo $((40 + 2))\r")
    screen.until("42")


def test_nothing_is_left_when_the_program_is_killed(terminals: Terminals) -> None:
    router = terminals.ours()
    screen = terminals.screen(programs.uwsgi_router(), "pty", terminals.packets)
    screen.type("echo $$-shell\r")
    screen.until("-shell\r\n")
    pid = terminals.document()["pid"]
    assert isinstance(pid, int)
    os.kill(router.pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), "its process has ended")
    screen.ends()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_terminals_belong_to_the_user_of_the_configuration(terminals: Terminals) -> None:
    # It can't tell the test that it is ready any more.
    listening = [f"--forkptyurouter={terminals.packets}", "--chmod-socket=666"]
    user = ["--uid=1234", "--gid=1234", "--forkptyrouter-cmd=exec /bin/sh -i"]
    router = terminals.place.program("router", programs.uwsgi_router(), *listening, *user)
    router.wait_for_output("is ready")
    screen = terminals.screen(programs.uwsgi_router(), "pty", terminals.packets)
    screen.type("id -u; id -g\r")
    screen.until("1234\r\n")
    screen.until("1234\r\n")


def alive(pid: int) -> bool:
    try:
        return (
            ")" in Path(f"/proc/{pid}/stat").read_text()
            and " Z " not in Path(f"/proc/{pid}/stat").read_text()
        )
    except OSError:
        return False

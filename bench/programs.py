"""Programs of a benchmark: search, start, and end of processes."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).resolve().parent.parent


class MissingError(Exception):
    """Error: a program of a benchmark is not installed; ``str()`` names it."""


class StartError(Exception):
    """Error: a program ended, or did not answer in time; ``str()`` holds the last lines that it wrote."""


class MeasureError(Exception):
    """Error: what is up can't be measured; ``str()`` says what and why, in one sentence."""


def find(name: str) -> str:
    """Return the path of a program.

    The environment variable of its name in capitals goes first (``UWSGI=…``), then ``.peers/venv``
    (``make peers`` builds uWSGI there), then PATH and Debian's place for servers.

    Raises:
        MissingError: if it is nowhere.
    """
    named = os.environ.get(name.upper())
    places = os.pathsep.join(
        (str(ROOT / ".peers/venv/bin"), os.environ.get("PATH", ""), "/usr/sbin")
    )
    found = shutil.which(named) if named else shutil.which(name, path=places)
    if found is None:
        raise MissingError(f"{name} (looked for {named})" if named else name)
    return found


def our_router() -> list[str]:
    """Return the command of the router in this working tree."""
    return [sys.executable, "-P", "-m", "uwsgi_router"]


def first_line(command: Sequence[str]) -> str:
    """Return the first line that a command such as ``nginx -v`` prints, "" if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip().partition("\n")[0]


def free_port() -> int:
    """Return a TCP port of the loopback that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def accepts(address: str) -> bool:
    """Return whether somebody accepts at ``host:port`` or a path."""
    unix = address.startswith("/")
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as sock:
        try:
            sock.connect(address if unix else (host, int(port)))
        except OSError:
            return False
    return True


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a GET of this host is answered with 200 at this port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/", headers={"Host": host})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def module_process(module: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start a module of ours that is told lines, and answers in lines; use it in a ``with`` block."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Program:
    """Running program, and its output; ended with everything it started.

    Args:
        name: for messages.
        command: what to run.
        directory: its working directory.
    """

    def __init__(self, name: str, command: Sequence[str], directory: Path) -> None:
        self.name = name
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        # A session of its own, so that its children can be ended with it.
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # SIGKILL: SIGTERM makes uWSGI reload, and nothing here is worth an orderly end.
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._output.close()

    def wait_until(self, ready: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until ``ready`` says yes.

        Raises:
            StartError: if the program ends or the time is over.
        """
        end = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None:
                raise StartError(f"{self.name} ended at once:\n{self.last_lines()}")
            if time.monotonic() > end:
                raise StartError(
                    f"{self.name} is not ready after {seconds:g} s:\n{self.last_lines()}"
                )
            time.sleep(0.02)

    def last_lines(self, count: int = 8) -> str:
        """Return the end of what it wrote."""
        self._output.seek(0)
        text = self._output.read().decode(errors="replace")
        return "\n".join(f"    {line}" for line in text.splitlines()[-count:])

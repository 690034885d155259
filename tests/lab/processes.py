"""A real program, from its start to its certain end."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from tests.lab.waiting import wait_until

_given: set[int] = set()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port of the loopback that nobody uses and that was not returned before.

    It lies below the range that the kernel takes source ports from, or one of the tests' own
    connections could sit on it by the time it is bound.
    """
    for port in random.sample(range(20_000, 32_000), 1000):
        if port in _given:
            continue
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise AssertionError("no free port")


def accepts(address: str) -> bool:
    """Whether anybody accepts a connection at ``host:port``."""
    host, port = address.rsplit(":", 1)
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, int(port))) == 0


def children_of(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants_of(pid: int) -> list[int]:
    """Return the process ids of a process's children, and of theirs; of none if it has ended."""
    try:
        children = children_of(pid)
    except (FileNotFoundError, ProcessLookupError):
        return []
    return children + [other for child in children for other in descendants_of(child)]


def run(*argv: str, check: bool = False, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and keep what it prints."""
    settings = {"capture_output": True, "text": True, "timeout": 50, **settings}
    return subprocess.run(argv, check=check, **settings)


def run_python(
    code: str, *, check: bool = False, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """Run these lines in a Python of their own."""
    return run(sys.executable, "-c", code, check=check, **settings)


class Process:
    """One program in a process group of its own, its output in a file.

    Args:
        name: what to call it in messages.
        argv: the command.
        log: file that collects what it prints.
        env: variables added to (or, with None, taken out of) the test's own environment.
        cwd: working directory.
        pass_fds: descriptors that it inherits under the same numbers.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        environment = dict(os.environ)
        for key, value in (env or {}).items():
            if value is None:
                environment.pop(key, None)
            else:
                environment[key] = value
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def wait_ready(self) -> None:
        """Wait until it does its work; each program knows how that shows."""

    def running(self) -> bool:
        """Return whether it has not ended yet."""
        return self._popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself (not to its children)."""
        self._popen.send_signal(number)

    def interrupt(self) -> None:
        """Send SIGINT to it and its children, as Ctrl-C does."""
        os.killpg(self.pid, signal.SIGINT)

    def wait(self, seconds: float = 15.0) -> int:
        """Wait for its end and return the exit code (negative: the signal that ended it)."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds:g} s") from None

    def kill(self) -> None:
        """End it and its children at once, as ``kill -9`` does."""
        try:
            # Its process group: workers must not outlive their master.
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._popen.wait()

    def clear_away(self) -> None:
        """End it and all that it has started, in other sessions too: workers of vassals outlive a killed master."""
        others = descendants_of(self.pid)
        with ExitStack() as stack:
            pidfds = []
            for pid in others:
                try:
                    pidfds.append(os.pidfd_open(pid))
                except ProcessLookupError:
                    continue
                stack.callback(os.close, pidfds[-1])
            self.kill()
            for pidfd in pidfds:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    def wait_until_it_accepts(self, address: str) -> None:
        """Wait until it accepts connections there."""

        def accepting() -> bool:
            assert self.running(), f"{self.name} did not start:\n{self.output()}"
            return accepts(address)

        wait_until(accepting, f"{self.name} accepts")

    def peak_memory(self) -> int:
        """Return the most bytes of memory that it ever held at once."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM in /proc")

    def output(self) -> str:
        """Return everything it printed so far."""
        return self.log.read_text("utf-8", "replace")

    def wait_for_output(self, text: str, *, after: int = 0, seconds: float = 15.0) -> None:
        """Wait until it prints ``text`` (looked for beyond the first ``after`` characters)."""

        def printed() -> bool:
            found = text in self.output()[after:]
            assert found or self.running(), f"{self.name} ended before it printed {text!r}"
            return found

        wait_until(printed, f"{self.name} prints {text!r}", seconds)

"""Loop of a supervisor: signals in their order, ends of processes, what was asked, and nothing left behind.

Each test is a process of its own: the loop reaps all children.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.lab import programs
from uwsgi_router.subscriptions.application.loop import SupervisorLoop


class Supervised:
    """Is over once as much has happened as is expected."""

    def __init__(self, expected: int) -> None:
        self.happened: list[object] = []
        self.expected = expected
        self.known = 0
        self.closed = False
        self.fails = False

    def due(self, now: float) -> float | None:
        return now + 10

    def tick(self, _now: float) -> None:
        if self.fails:
            raise ZeroDivisionError

    def signalled(self, number: int) -> None:
        self.happened.append(number)

    def reaping(self, pid: int, status: Callable[[], int]) -> bool:
        if pid == self.known:
            self.happened.append(status())
        return pid == self.known

    def is_over(self) -> bool:
        return len(self.happened) >= self.expected

    def close(self) -> None:
        self.closed = True


def signals_in_their_order_and_those_that_were_ignored_stay_so() -> None:
    supervised = Supervised(2)
    numbers = {signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    loop = SupervisorLoop()
    loop.questions.ask(lambda: None, lambda _: send())
    loop.run(supervised, numbers)
    assert supervised.happened == [signal.SIGUSR2, signal.SIGUSR1]
    assert supervised.closed
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def send() -> None:
    # Those above are handled by Python when this returns; the kernel delivers several at once by their number.
    for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGUSR1):
        os.kill(os.getpid(), number)


def ends_of_processes_are_told_and_those_of_others_are_reaped() -> None:
    supervised = Supervised(1)
    loop = SupervisorLoop()

    def start(_: object) -> None:
        other = subprocess.Popen(["true"])
        other.returncode = 0
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        known = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
        known.returncode, supervised.known = 0, known.pid

    loop.questions.ask(lambda: None, start)
    loop.run(supervised, ())
    assert supervised.happened == [7]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def it_is_tidy_after_an_exception() -> None:
    supervised = Supervised(1)
    supervised.fails = True
    loop = SupervisorLoop()
    loop.questions.ask(time.monotonic, lambda _: None)
    with pytest.raises(ZeroDivisionError):
        loop.run(supervised, (signal.SIGUSR1,))
    assert supervised.closed
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize(
    "check",
    [
        signals_in_their_order_and_those_that_were_ignored_stay_so,
        ends_of_processes_are_told_and_those_of_others_are_reaped,
        it_is_tidy_after_an_exception,
    ],
)
def test_the_loop(check: Callable[[], None]) -> None:
    code = f"from {__name__} import {check.__name__} as check; check()"
    run = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        run, cwd=programs.ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr

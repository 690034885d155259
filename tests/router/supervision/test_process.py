"""Child processes: descriptors, directory, signals, ends; supervised ones start again."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.router.supervision.machine import RestartTiming, State
from uwsgi_router.router.supervision.process import (
    NOT_EXECUTED,
    ChildCommand,
    cause_of,
    reap,
    reap_strangers,
    spawn,
)
from uwsgi_router.router.supervision.supervisor import SupervisedProgram

FAST = RestartTiming(first=0.02, most=0.1, steady=60.0, start=None, stop=0.2)
_ENVIRON = {"PATH": os.environ["PATH"]}


def python(code: str, **more: object) -> ChildCommand:
    return ChildCommand([sys.executable, "-c", code], _ENVIRON, **more)  # type: ignore[arg-type]


def end_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_inherits_what_it_is_given_and_nothing_else(tmp_path: Path) -> None:
    (reader, writer), other = os.pipe(), os.open("/", os.O_RDONLY)
    os.set_inheritable(other, False)
    code = (
        "import os, sys\n"
        f"os.write({writer}, os.getcwd().encode())\n"
        f"sys.exit(os.path.exists('/proc/self/fd/{other}'))"
    )
    assert end_of(spawn(python(code, descriptors=[writer], directory=str(tmp_path)))) == 0
    assert os.read(reader, 1000) == os.fsencode(tmp_path)
    for one in (reader, writer, other):
        os.close(one)


def test_its_signals_are_those_of_a_fresh_process() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        pid = spawn(python("import signal; signal.pause()"))
        os.kill(pid, signal.SIGTERM)
        assert end_of(pid) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_can_not_be_executed_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    assert end_of(spawn(ChildCommand(["/nowhere/at/all"], {}))) == NOT_EXECUTED
    assert capfd.readouterr().err == "cannot execute /nowhere/at/all: No such file or directory\n"


def test_only_what_is_unknown_is_reaped_for_others() -> None:
    known, stranger = (spawn(python("pass")) for _ in range(2))
    for pid in (known, stranger):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    reap_strangers({known})
    assert reap(known) == 0
    with pytest.raises(ChildProcessError):
        os.waitpid(stranger, 0)
    assert reap(stranger) == 0


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit code 0"), (3, "exit code 3"), (-9, "signal 9, SIGKILL"), (-99, "signal 99")],
)
def test_ends_in_words(code: int, words: str) -> None:
    assert cause_of(code) == words


@pytest.fixture
def loop() -> Iterator[SelectorLoop]:
    one = SelectorLoop()
    yield one
    one.close()


def until(loop: SelectorLoop, done: Callable[[], bool]) -> None:
    late: list[bool] = []
    loop.call_later(20.0, late.append, True)
    while not done():
        loop.step(0.1)
        assert not late


def test_a_program_that_ends_is_started_again(
    loop: SelectorLoop, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[int] = []
    program = SupervisedProgram(loop, "it", lambda: python("raise SystemExit(3)"), FAST)
    program.on_ended = codes.append
    program.start()
    until(loop, lambda: len(codes) == 3)
    program.stop()
    until(loop, lambda: program.machine.state is State.ENDED)
    assert codes[:3] == [3, 3, 3]
    first, second, *_ = (record.getMessage() for record in caplog.records)
    assert "has ended (exit code 3), it starts again at once" in first
    assert "has ended (exit code 3), it starts again in 0.02 s" in second


def test_a_program_that_does_not_end_is_killed(loop: SelectorLoop) -> None:
    reader, writer = os.pipe()
    code = (
        "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"os.write({writer}, b'x')\nwhile True: signal.pause()"
    )
    program = SupervisedProgram(loop, "it", lambda: python(code, descriptors=[writer]), FAST)
    program.start()
    os.read(reader, 1)
    codes: list[int] = []
    program.on_ended = codes.append
    program.stop(signal.SIGTERM)
    until(loop, lambda: bool(codes))
    assert codes == [-signal.SIGKILL]
    assert program.machine.state is State.ENDED
    os.close(reader)
    os.close(writer)


def test_a_process_that_is_there_is_adopted(loop: SelectorLoop) -> None:
    pid = spawn(python("import signal; signal.pause()"))
    program = SupervisedProgram(loop, "it", lambda: python("pass"), FAST)
    program.adopt(pid, ready=True)
    assert (program.pid, program.machine.state) == (pid, State.READY)
    program.stop(signal.SIGTERM)
    until(loop, lambda: program.machine.state is State.ENDED)

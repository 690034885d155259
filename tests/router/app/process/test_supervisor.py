"""The supervisor of programs with processes of their own: restarts, back-off, ends."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.lab.processes import run_python
from tests.lab.waiting import wait_until
from uwsgi_router.router.app.process.supervisor import (
    ProcessSupervisor,
    RestartTiming,
    SupervisedProgram,
)

Start = Callable[..., ProcessSupervisor]
TIMING = RestartTiming(first=0.01, most=0.02, steady=60.0, stop=0.5)


@pytest.fixture
def start() -> Iterator[Start]:
    supervisors: list[ProcessSupervisor] = []

    def begin(
        *programs: Callable[[int], None], timing: RestartTiming = TIMING
    ) -> ProcessSupervisor:
        supervised = [SupervisedProgram(f"{n}", f"test-{n}", one) for n, one in enumerate(programs)]
        supervisor = ProcessSupervisor(supervised, lambda: None, timing)
        supervisor.start()
        supervisors.append(supervisor)
        return supervisor

    yield begin
    for supervisor in supervisors:
        supervisor.stop()


class Notes:
    """What processes wrote into a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def add(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{text}\n")

    @property
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()


def until_the_end(lifeline: int) -> None:
    os.read(lifeline, 1)


def test_what_ends_starts_again_and_the_others_go_on(start: Start, tmp_path: Path) -> None:
    ending, lasting = Notes(tmp_path / "ending"), Notes(tmp_path / "lasting")

    def end(_lifeline: int) -> None:
        ending.add(str(os.getpid()))

    def last(lifeline: int) -> None:
        lasting.add(str(os.getpid()))
        until_the_end(lifeline)

    start(end, last)
    wait_until(lambda: len(ending.lines) >= 4, "it is started again and again")
    assert len(set(ending.lines)) == len(ending.lines)
    assert len(lasting.lines) == 1


def test_the_pauses_grow(start: Start, tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")

    def fail(_lifeline: int) -> None:
        notes.add(str(time.monotonic()))
        raise SystemExit(3)

    start(fail, timing=RestartTiming(first=0.05, most=0.4, steady=60.0))
    wait_until(lambda: len(notes.lines) >= 5, "it is started five times")
    times = [float(line) for line in notes.lines[:5]]
    pauses = [b - a for a, b in pairwise(times)]
    for pause, least in zip(pauses, (0.05, 0.1, 0.2, 0.4), strict=True):
        assert pause >= least


def test_stopping_ends_all_and_waits(start: Start, tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")

    def serve(lifeline: int) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        notes.add("begun")
        until_the_end(lifeline)
        notes.add("ended")

    def stubborn(_lifeline: int) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        notes.add("begun")
        while True:
            signal.pause()

    supervisor = start(serve, stubborn)
    wait_until(lambda: notes.lines.count("begun") == 2, "both run")
    supervisor.stop()
    # The second one did not heed the end of its descriptor, and was killed.
    assert notes.lines == ["begun", "begun", "ended"]
    assert supervisor.pid == 0


def test_a_program_ends_when_its_supervisor_is_killed(start: Start, tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")

    def serve(lifeline: int) -> None:
        notes.add("begun")
        until_the_end(lifeline)
        notes.add("ended")

    supervisor = start(serve, serve)
    wait_until(lambda: notes.lines == ["begun"] * 2, "both run")
    os.kill(supervisor.pid, signal.SIGKILL)
    wait_until(lambda: notes.lines == ["begun"] * 2 + ["ended"] * 2, "both have ended")


def test_everything_ends_when_the_main_process_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, signal
from uwsgi_router.router.app.process.supervisor import ProcessSupervisor, SupervisedProgram

def serve(lifeline):
    open({str(tmp_path / "begun")!r}, "w").close()
    os.read(lifeline, 1)
    open({str(tmp_path / "ended")!r}, "w").close()

ProcessSupervisor([SupervisedProgram("x", "x", serve)], lambda: None).start()
while not os.path.exists({str(tmp_path / "begun")!r}):
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run_python(code).returncode == -signal.SIGKILL
    wait_until((tmp_path / "ended").exists, "the program has ended")

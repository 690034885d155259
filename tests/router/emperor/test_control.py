"""Control socket of an Emperor: what it answers, byte by byte, and what it does not put up with."""

import json
import os
import resource
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from uwsgi_router.protocol.control import MAX_QUESTION, Question, encode_question
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.emperor.control import (
    ControlListener,
    EmperorControl,
    EmperorControlLimits,
)
from uwsgi_router.router.emperor.government import Government
from uwsgi_router.router.emperor.metrics import metrics
from uwsgi_router.router.emperor.socket_search import SocketFinder
from uwsgi_router.router.emperor.vassal import Vassal
from uwsgi_router.router.emperor.vassal_file import VassalFile
from uwsgi_router.router.supervision.loop import SelectorLoop


class Emperor:
    """A government whose vassals have not begun, its control socket, and a client."""

    def __init__(
        self, directory: Path, program: Sequence[str] = ("true",), **limits: float
    ) -> None:
        self.loop = SelectorLoop()
        self.directory = directory
        self.government = Government(
            self.loop, EmperorConfig(places=(str(directory),)), ProcessConfig(), [],
            program=program, environ={}, write=lambda _: None,
        )  # fmt: skip
        self.path = str(directory / "control")
        self.control = EmperorControl(
            self.loop, [ControlListener(self.path)], self.government,
            EmperorControlLimits(**limits),  # type: ignore[arg-type]
        )  # fmt: skip
        self.clients: list[socket.socket] = []

    def vassal(self, name: str) -> Vassal:
        path = str(self.directory / name)
        file = VassalFile(name, str(self.directory), path, 1.0, 0, 0, str(self.directory))
        made = self.government.vassals[name] = Vassal(file, self.government)
        return made

    def connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(self.path)
        made.settimeout(0)
        self.clients.append(made)
        return made

    def send(self, client: socket.socket, data: bytes) -> list[dict[str, Any]]:
        """Send, let the loop turn, and return what has come back."""
        client.sendall(data)
        return self.answers(client)

    def answers(self, client: socket.socket) -> list[dict[str, Any]]:
        received = b""
        for _ in range(20):
            self.loop.step(0.01)
            try:
                received += client.recv(1 << 20)
            except BlockingIOError:
                continue
        return [json.loads(line) for line in received.splitlines()]

    def ask(self, vassal: str = "", order: Any = "") -> list[dict[str, Any]]:
        question = encode_question(Question("vassals", vassal=vassal, order=order))
        return self.send(self.connect(), question)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.control.close()
        self.government.close()
        self.loop.close()


@pytest.fixture
def emperor(tmp_path: Path) -> Iterator[Emperor]:
    made = Emperor(tmp_path)
    yield made
    made.close()


def test_only_our_user_may_connect_and_the_file_goes_with_it(tmp_path: Path) -> None:
    emperor = Emperor(tmp_path)
    assert os.stat(emperor.path).st_mode & 0o777 == 0o600
    emperor.close()
    assert not os.path.exists(emperor.path)


def test_vassals_are_shown(emperor: Emperor) -> None:
    emperor.vassal("a.ini")
    emperor.vassal("b.ini")
    first, second, done = emperor.ask()
    assert (first["vassal"]["id"], second["vassal"]["state"], done["nodes"]) == (
        "a.ini",
        "waiting",
        2,
    )
    assert [one["vassal"]["id"] for one in emperor.ask("b")[:-1]] == ["b.ini"]


def test_orders_change_the_state_and_are_refused_where_they_would_not(emperor: Emperor) -> None:
    vassal = emperor.vassal("a.ini")
    (shown, done) = emperor.ask("a", "stop")
    assert (shown["vassal"]["state"], done["ok"]) == ("stopped", True)
    (refused,) = emperor.ask("a.ini", "reload")
    assert (refused["ok"], refused["error"]) == (False, "a.ini: it is stopped: start it")
    output = vassal.output.open()
    os.write(output, b"first\nlast \xff\n")
    os.close(output)
    vassal.output.take_rest()
    lines = emperor.ask("a", "log")
    assert [line["line"] for line in lines[:2]] == ["first", "last \\xff"]
    emperor.government.ending = True
    assert emperor.ask("a", "start")[0]["error"] == "the Emperor ends"
    assert emperor.ask("a")[0]["vassal"]["state"] == "stopped"


def test_names_have_to_be_clear(emperor: Emperor) -> None:
    emperor.vassal("a.ini")
    emperor.vassal("a.yml")
    assert emperor.ask("a")[0]["error"] == "a may be one of a.ini, a.yml"
    assert emperor.ask("c")[0]["error"] == "there is no vassal c"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "the line is not JSON"),
        (b'{"v":1,"do":"status"}', "this is an Emperor: status is for routers"),
        (b'{"v":1,"do":"vassals","order":"kill","vassal":"a"}', "'kill' is no order"),
        (b'{"v":1,"do":"vassals","order":"stop"}', "stop needs the name of a vassal"),
        (b'{"v":1,"do":"vassals","vassal":7}', "a vassal's name is a text"),
    ],
)
def test_other_questions_are_refused(emperor: Emperor, line: bytes, says: str) -> None:
    (refused,) = emperor.send(emperor.connect(), line + b"\n")
    assert says in refused["error"]


def test_questions_may_follow_each_other_and_come_in_pieces(emperor: Emperor) -> None:
    emperor.vassal("a.ini")
    question = encode_question(Question("vassals"))
    client = emperor.connect()
    assert emperor.send(client, question[:5]) == []
    answers = emperor.send(client, question[5:] + question + question[:-1])
    assert [one["ok"] for one in answers if "ok" in one] == [True, True]
    assert len(emperor.send(client, b"\n")) == 2


def test_who_asks_too_much_or_too_little_is_cut_off(tmp_path: Path) -> None:
    emperor = Emperor(tmp_path, clients=2, idle=0.05)
    long = emperor.connect()
    assert emperor.send(long, b"x" * (MAX_QUESTION + 1)) == []
    assert not emperor.control.clients
    idle = [emperor.connect() for _ in range(3)]
    emperor.loop.step(0.01)
    assert len(emperor.control.clients) <= 2
    emperor.answers(idle[0])
    assert not emperor.control.clients
    emperor.close()


def test_metrics_of_vassals(emperor: Emperor) -> None:
    emperor.vassal('a"\\.ini')
    lines = metrics(emperor.government).decode().splitlines()
    assert 'uwsgi_router_vassals{state="waiting"} 1' in lines
    assert 'uwsgi_router_vassal_up{vassal="a\\"\\\\.ini"} 0' in lines


@contextmanager
def no_descriptors(spare: int) -> Iterator[None]:
    """Leave so many descriptors to this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    first = os.dup(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(first + 64, 256), before[1]))
    taken = [first]
    try:
        while True:
            try:
                taken.append(os.dup(0))
            except OSError:
                break
        for _ in range(spare):
            os.close(taken.pop())
        yield
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_clients_that_wait_for_a_descriptor_take_no_time(emperor: Emperor) -> None:
    emperor.vassal("shop.ini")
    client = emperor.connect()
    with no_descriptors(0):
        emperor.loop.step(0.1)
        begin = time.monotonic()
        # Nothing wakes the loop before it looks again.
        emperor.loop.step(0.2)
        assert time.monotonic() - begin > 0.15
    deadline = time.monotonic() + 10
    client.sendall(encode_question(Question("vassals")))
    while not (found := emperor.answers(client)):
        assert time.monotonic() < deadline
    assert found[-1]["ok"]


def test_the_end_of_a_vassal_waits_for_a_descriptor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # What lives on keeps the pipes, so that the end of the vassal sets no descriptor free.
    emperor = Emperor(tmp_path, ("/bin/sh", "-c", "setsid sleep 3 & exit 0"))
    (tmp_path / "shop.ini").write_text("[uwsgi]\nhttp = :80\n")
    vassal = emperor.vassal("shop.ini")
    vassal.start()
    while vassal.pid < 0:
        emperor.loop.step(0.1)
    pid = vassal.pid
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with no_descriptors(0):
        emperor.loop.step(1.0)
    assert "can't be ended yet" in caplog.text
    deadline = time.monotonic() + 10
    while vassal.pid == pid:
        assert time.monotonic() < deadline
        emperor.loop.step(0.5)
    assert f"shop.ini (pid {pid}) has ended" in caplog.text
    emperor.government.kill()
    emperor.close()


@pytest.mark.parametrize("spare", range(6))
def test_a_search_without_descriptors_has_failed(
    loop: SelectorLoop, tmp_path: Path, spare: int
) -> None:
    config = EmperorConfig(on_demand_exec="echo nothing-here:x #")
    finder = SocketFinder(loop, config, ProcessConfig())
    file = VassalFile("a.ini", str(tmp_path), str(tmp_path / "a.ini"), 1.0, 0, 0, str(tmp_path))
    faults: list[str] = []
    with no_descriptors(spare):
        finder.find(file, lambda _, fault: faults.append(fault))
        deadline = time.monotonic() + 10
        while not faults:
            assert time.monotonic() < deadline
            loop.step(0.5)
    assert len(faults) == 1

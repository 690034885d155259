"""Control socket of an Emperor: what it answers, byte by byte, and what it does not put up with."""

import json
import os
import socket
from collections.abc import Iterator
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
from uwsgi_router.router.emperor.vassal import Vassal
from uwsgi_router.router.emperor.vassal_file import VassalFile
from uwsgi_router.router.supervision.loop import SelectorLoop


class Emperor:
    """A government whose vassals have not begun, its control socket, and a client."""

    def __init__(self, directory: Path, **limits: float) -> None:
        self.loop = SelectorLoop()
        self.directory = directory
        self.government = Government(
            self.loop, EmperorConfig(places=(str(directory),)), ProcessConfig(), [],
            program=("true",), environ={}, write=lambda _: None,
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

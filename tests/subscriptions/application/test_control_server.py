"""Control socket of the supervisor: its own words, and what goes on to the router."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.waiting import wait_until
from uwsgi_router.protocol.control import MAX_QUESTION, Question, encode_done
from uwsgi_router.subscriptions.application.actions import RolloutEnded
from uwsgi_router.subscriptions.application.control_server import ApplicationControl
from uwsgi_router.subscriptions.application.running_copy import RouterSockets
from uwsgi_router.subscriptions.application.supervisor import Supervision
from uwsgi_router.subscriptions.client.control import CannotAsk, Control


class Shell:
    """Application whose rollouts end when the test says so."""

    def __init__(self, tell: Callable[[str, RolloutEnded, list[str]], None]) -> None:
        self.tell = tell
        self.asked: list[bool | None] = []
        self.at_once: RolloutEnded | None = None

    def rollout(self, *, surge: bool | None = None) -> int:
        self.asked.append(surge)
        if self.at_once is not None:
            self.tell("app", self.at_once, ["last words"])
        return len(self.asked) + 1

    def status(self) -> Iterator[dict[str, Any]]:
        yield {"copy": "app.1", "state": "serving"}


class Served:
    """Control socket, with a loop in a thread, and a router that answers everything alike."""

    def __init__(self, directory: Path) -> None:
        self.path, router = str(directory / "serve"), str(directory / "router")
        self.supervision = Supervision(None, RouterSockets((), router))
        self.shell = Shell(self.supervision.rollout_ended)
        self.supervision.applications["app"] = self.shell  # type: ignore[assignment]
        self.router = socket.socket(socket.AF_UNIX)
        self.router.bind(router)
        self.router.listen()
        self.control = ApplicationControl(self.path, router)
        self.supervision.part(self.control)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            self.supervision.loop.turn(0.05)

    def end(self, ended: RolloutEnded, lines: list[str]) -> None:
        self.supervision.questions.post(lambda: self.shell.tell("app", ended, lines))

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self.control.close()
        self.router.close()
        self.supervision.loop.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.close()


def ask(served: Served, question: Question) -> list[dict[str, Any]]:
    with Control(served.path) as control:
        return list(control.ask(question))


def test_only_our_user_may_connect(served: Served) -> None:
    assert os.stat(served.path).st_mode & 0o777 == 0o600


def test_copies_are_told(served: Served) -> None:
    copy, done = ask(served, Question("apps"))
    assert (copy, done["nodes"]) == ({"copy": {"copy": "app.1", "state": "serving"}}, 1)
    with pytest.raises(CannotAsk, match="there is no application shop"):
        ask(served, Question("apps", app="shop"))


def test_a_rollouts_answer_comes_at_its_end(served: Served) -> None:
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(
        target=lambda: answers.extend(ask(served, Question("rollout", surge=True)))
    )
    thread.start()
    wait_until(lambda: served.shell.asked == [True], "it is asked for")
    assert not answers
    served.end(RolloutEnded(1), [])
    served.end(RolloutEnded(2), [])
    thread.join()
    assert [answer["nodes"] for answer in answers] == [1]


def test_one_that_fails_tells_the_last_lines(served: Served) -> None:
    served.shell.at_once = RolloutEnded(2, "exit code 3", 7)
    lines = []
    with Control(served.path) as control, pytest.raises(CannotAsk) as error:  # noqa: PT012
        for answer in control.ask(Question("rollout")):
            lines.append(answer)  # noqa: PERF402
    assert lines == [{"line": "last words"}]
    assert str(error.value) == "rollout of app failed: exit code 3"


def test_other_questions_go_to_the_router(served: Served) -> None:
    def router() -> None:
        sock, _ = served.router.accept()
        with sock:
            for _ in range(2):
                heard.append(sock.recv(4096))
                sock.sendall(encode_done(nodes=len(heard)))

    heard: list[bytes] = []
    thread = threading.Thread(target=router)
    thread.start()
    with Control(served.path) as control:
        assert control.do(Question("enable", "a:1"))["nodes"] == 1
        assert control.do(Question("status"))["nodes"] == 2
    thread.join()
    assert [json.loads(line)["do"] for line in heard] == ["enable", "status"]


@pytest.mark.parametrize("line", [b"nonsense\n", b"x" * (MAX_QUESTION + 1)])
def test_what_is_no_question_is_refused(served: Served, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(served.path)
        sock.sendall(line)
        assert json.loads(sock.recv(4096))["ok"] is False
    assert ask(served, Question("apps"))


def test_a_client_that_leaves_is_forgotten(served: Served) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(served.path)
        wait_until(lambda: len(served.control.clients) == 1, "it is there")
    wait_until(lambda: not served.control.clients, "it has left")


def test_the_socket_of_one_that_runs_is_left_alone(served: Served, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="somebody listens"):
        ApplicationControl(served.path, "")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="no socket"):
        ApplicationControl(str(tmp_path / "file"), "")

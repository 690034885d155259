"""Waiting for a node's last requests: by what the router says, else by the clock."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.subscriptions.client.conftest import Hearing
from uwsgi_router.protocol.control import Question, decode_question, encode_done, encode_refusal
from uwsgi_router.subscriptions import SubscribeError, subscribe
from uwsgi_router.subscriptions.client.control import CannotAsk, Control, control_path
from uwsgi_router.subscriptions.client.drain import Drain, Withdrawn

NODES = Withdrawn([("a", "127.0.0.1:8000"), ("b", "127.0.0.1:8000")], routers=1)
DONE = encode_done(nodes=1)
Answer = Callable[[Question], bytes]


class Router:
    """A control socket that answers as the test says."""

    def __init__(self, path: str, answer: Answer) -> None:
        self.path = path
        self.asked: list[Question] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as lines:
                for line in lines:
                    self.asked.append(decode_question(line))
                    if not (answer := self._answer(self.asked[-1])):
                        break
                    client.sendall(answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def routers(tmp_path: Path) -> Iterator[Callable[[Answer], Router]]:
    made: list[Router] = []

    def make(answer: Answer) -> Router:
        made.append(Router(str(tmp_path / f"{len(made)}.sock"), answer))
        return made[-1]

    yield make
    for router in made:
        router.close()


def waited(drain: Drain, withdrawn: Withdrawn = NODES) -> float:
    """Return the seconds that are waited."""
    began = time.monotonic()
    drain.wait(withdrawn)
    return time.monotonic() - began


def test_without_a_router_to_ask_it_waits_for_the_delay() -> None:
    assert 0.2 <= waited(Drain(8, 0.2)) < 5
    assert 0.1 <= waited(Drain(0.1, 60)) < 5


def test_as_long_as_the_router_says(routers: Callable[[Answer], Router]) -> None:
    router = routers(lambda _: DONE)
    assert waited(Drain(60, 60, router.path)) < 5
    assert {(q.do, q.node, q.key, q.wait_only) for q in router.asked} == {
        ("drain", "127.0.0.1:8000", b"a", True),
        ("drain", "127.0.0.1:8000", b"b", True),
    }
    assert all(50 < question.timeout <= 60 for question in router.asked)


def test_requests_that_do_not_end_are_waited_for_up_to_the_limit(
    routers: Callable[[Answer], Router], caplog: pytest.LogCaptureFixture
) -> None:
    router = routers(lambda _: encode_done(nodes=1, running=2))
    waited(Drain(60, 60, router.path))
    assert caplog.messages == ["requests are still under way after 60 s"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (encode_refusal("no"), "no"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not JSON"),
        (b"", "the router ended the connection"),
        (encode_done(nodes=0, known=False), "nobody has announced a to the router there"),
    ],
)
def test_a_router_that_does_not_say_is_waited_for_by_the_clock(
    answer: bytes,
    reason: str,
    routers: Callable[[Answer], Router],
    caplog: pytest.LogCaptureFixture,
) -> None:
    router = routers(lambda _: answer)
    assert 0.2 <= waited(Drain(8, 0.2, router.path)) < 5
    assert len(caplog.messages) == 1
    assert reason in caplog.messages[0]
    assert "0.2 s are waited" in caplog.messages[0]


def test_so_is_one_that_is_not_there(tmp_path: Path) -> None:
    drain = Drain(8, 0.2, str(tmp_path / "none"))
    assert 0.2 <= waited(drain) < 5


def test_so_are_others_beside_the_one_that_says_it(routers: Callable[[Answer], Router]) -> None:
    router = routers(lambda _: DONE)
    both = Withdrawn(NODES.nodes, routers=2)
    assert 0.2 <= waited(Drain(8, 0.2, router.path), both) < 5


def test_a_router_that_hangs_is_waited_for_up_to_the_limit(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        assert 0.3 <= waited(Drain(0.3, 0.1, str(tmp_path / "s"))) < 5


def test_the_path_that_is_given_or_that_the_environment_names() -> None:
    assert control_path("/a", {"UWSGI_ROUTER_CONTROL": "/b"}) == "/a"
    assert control_path(None, {"UWSGI_ROUTER_CONTROL": "/b"}) == "/b"
    assert control_path(None, {"UWSGI_ROUTER_CONTROL": ""}) is None
    assert control_path(None, {}) is None


def test_a_path_that_can_be_no_socket_s() -> None:
    with pytest.raises(CannotAsk, match="too long"):
        Control("/" + "x" * 200)


# --- inside a program ---


def test_a_plain_block_ends_when_the_router_says_so(
    hearing: Hearing, routers: Callable[[Answer], Router], monkeypatch: pytest.MonkeyPatch
) -> None:
    router = routers(lambda _: DONE)
    monkeypatch.setenv("UWSGI_ROUTER_CONTROL", router.path)
    began = time.monotonic()
    with subscribe(hearing.address, key="a", address="127.0.0.1:8000", drain_delay=60):
        pass
    assert time.monotonic() - began < 10
    assert [question.key for question in router.asked] == [b"a"]


async def test_a_block_in_an_event_loop_ends_when_the_router_says_so(
    hearing: Hearing, routers: Callable[[Answer], Router]
) -> None:
    router = routers(lambda _: DONE)
    settings = {"key": "a", "address": "127.0.0.1:8000"}
    began = time.monotonic()
    async with subscribe(hearing.address, **settings, drain_delay=60, control=router.path):  # type: ignore[arg-type]
        pass
    assert time.monotonic() - began < 10
    assert [question.key for question in router.asked] == [b"a"]


def test_a_lost_withdrawal_is_repeated_meanwhile(
    hearing: Hearing, routers: Callable[[Answer], Router], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    second = threading.Event()

    def when_told_twice(_question: Question) -> bytes:
        second.wait(10)
        return DONE

    router = routers(when_told_twice)
    leaving = threading.Thread(target=lambda: leave(router, hearing))
    leaving.start()
    heard: list[str] = []
    while heard.count("unsubscribe") < 2:
        heard.append(hearing.next().command)
    second.set()
    leaving.join(10)
    assert not leaving.is_alive()
    assert "the router says that all requests have ended" in caplog.messages


def leave(router: Router, hearing: Hearing) -> None:
    with subscribe(
        hearing.address, key="a", address="127.0.0.1:8000", drain=60, control=router.path
    ):
        pass


def test_a_drain_below_0_is_a_mistake() -> None:
    with pytest.raises(SubscribeError, match="drain -1"):
        subscribe("127.0.0.1:3032", key="a", address="127.0.0.1:8000", drain=-1)

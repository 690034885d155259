"""Answers: what they say, and to whom they never go."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from uwsgi_router.protocol.address import Address
from uwsgi_router.subscriptions.notify import MAX_TEXT, Notifier, accepted, refused
from uwsgi_router.subscriptions.sender import Credentials, Sender

ME = Sender("unix", None, Credentials(1, os.getuid(), os.getgid()))
STRANGER = Sender("unix", None, Credentials(1, os.getuid() + 1, os.getgid()))
LOOPBACK = Sender("127.0.0.1", "127.0.0.1")
REMOTE = Sender("10.0.0.1", "10.0.0.1")


class Place:
    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.path = os.fsencode(directory / "notify")
        self.listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.listener.bind(self.path)
        self.listener.setblocking(False)
        self.notifier = Notifier()
        stack.callback(self.notifier.close)

    def heard(self) -> bytes:
        try:
            return self.listener.recv(10_000)
        except BlockingIOError:
            return b""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


def test_the_text_is_uwsgis() -> None:
    text = accepted(b"example.com", "127.0.0.1:3031")
    assert text == "[subscription ack] example.com => new node: 127.0.0.1:3031"
    assert refused(b"example.com", "/a", "no") == "[subscription refused] example.com => /a: no"


def test_it_is_one_line_whatever_the_key_is() -> None:
    """A service manager would read further lines as messages of the router's."""
    text = accepted(b"k\nSTOPPING=1\n\xff\x00\x1b", "a")
    assert text.splitlines() == [text]
    assert text.isprintable()
    assert refused(b"k", "a", "x\ny\udcff").isprintable()


@pytest.mark.parametrize("sender", [ME, LOOPBACK, Sender("unix")])
def test_senders_on_this_machine_are_answered(place: Place, sender: Sender) -> None:
    assert place.notifier.send(place.path, "hello", sender) is None
    assert place.heard() == b"hello"


def test_others_are_not(place: Place) -> None:
    assert place.notifier.send(place.path, "hello", REMOTE) is not None
    why = place.notifier.send(place.path, "hello", STRANGER)
    assert why is not None
    assert "belongs to user" in why
    assert place.heard() == b""


def test_a_link_to_somebody_elses_socket_is_their_socket(place: Place, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(os.fsdecode(place.path))
    assert place.notifier.send(os.fsencode(link), "hello", STRANGER) is not None
    assert place.heard() == b""


def test_the_routers_own_sockets_hear_nothing(place: Place) -> None:
    own = Notifier(lambda address: _path(address) == place.path)
    assert own.send(place.path, "hello", ME) == "it is the router's own socket"
    assert place.heard() == b""


def _path(address: Address) -> bytes:
    path = getattr(address, "path", b"")
    assert isinstance(path, bytes)
    return path


def test_what_is_no_socket(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    send = place.notifier.send
    assert send(os.fsencode(tmp_path / "file"), "x", ME) == "it is no socket"
    assert send(os.fsencode(tmp_path / "none"), "x", ME) == "No such file or directory"
    assert send(b"a\0b", "x", ME) == "it is no path"
    place.listener.close()
    assert send(place.path, "x", ME) == "Connection refused"


def test_a_listener_that_does_not_read_keeps_nobody_waiting(place: Place) -> None:
    outcomes = [place.notifier.send(place.path, "x", ME) for _ in range(5000)]
    assert outcomes[-1] == "Resource temporarily unavailable"


def test_descriptors_do_not_leak_and_texts_are_short(place: Place) -> None:
    place.notifier.send(place.path, "x" * 100_000, ME)
    assert place.heard() == b"x" * MAX_TEXT
    before = len(os.listdir("/proc/self/fd"))
    for sender in (ME, STRANGER):
        place.notifier.send(place.path, "x", sender)
    assert len(os.listdir("/proc/self/fd")) == before
    place.notifier.close()
    place.notifier.close()

"""Rounds: who is told what, when a node is withdrawn, and what is said of troubles."""

import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.clock import Clock
from tests.subscriptions.client.conftest import Hearing
from uwsgi_router.subscriptions.client.announcement import Announcement, announcement
from uwsgi_router.subscriptions.client.announcer import Announcer
from uwsgi_router.subscriptions.client.errors import SubscribeError

ADDRESS = "127.0.0.1:8000"


WALL = 1_700_000_000.0
Ready = Callable[..., Announcer]


@pytest.fixture
def ready() -> Iterator[Ready]:
    """Make announcers that have found their servers."""
    made = []

    def make(*announcements: Announcement, clock: Clock | None = None) -> Announcer:
        clock = clock or Clock(WALL)
        announcer = Announcer(announcements, unix_time=clock, clock=clock)
        made.append(announcer)
        announcer.resolve()
        announcer.settle()
        return announcer

    yield make
    for announcer in made:
        announcer.close()


def node(hearing: Hearing, **more: object) -> Announcement:
    return announcement(hearing.address, **{"key": "a", "address": ADDRESS, **more})  # type: ignore[arg-type]


def test_announced_and_withdrawn(ready: Ready, hearing: Hearing) -> None:
    announcer = ready(node(hearing), node(hearing, key="b"))
    assert announcer.announce()
    assert hearing.said() == [("subscribe", "a", ADDRESS), ("subscribe", "b", ADDRESS)]
    assert announcer.leave()
    assert hearing.said() == [("unsubscribe", "a", ADDRESS), ("unsubscribe", "b", ADDRESS)]


def test_nothing_is_announced_after_the_leave(ready: Ready, hearing: Hearing) -> None:
    announcer = ready(node(hearing))
    announcer.announce()
    announcer.leave()
    announcer.announce()
    assert [command for command, *_ in hearing.said()] == ["subscribe", "unsubscribe"]


def test_leaving_without_having_announced_says_nothing(ready: Ready, hearing: Hearing) -> None:
    assert not ready(node(hearing)).leave()
    assert hearing.said() == []


def test_a_leave_can_be_repeated(ready: Ready, hearing: Hearing) -> None:
    announcer = ready(node(hearing))
    announcer.announce()
    announcer.leave()
    hearing.said()
    announcer.leave()
    assert hearing.said() == [("unsubscribe", "a", ADDRESS)]


def test_times_of_signatures_always_grow(ready: Ready, hearing: Hearing, keys: Path) -> None:
    clock = Clock(WALL)
    announcer = ready(node(hearing, signing=("SHA1", str(keys / "ec.pem"))), clock=clock)
    times = []
    for step in (0, 0, 1, -100, 200):
        clock.now += step
        announcer.announce()
        times.append(hearing.next().unix or 0)
    announcer.leave()
    times.append(hearing.next().unix or 0)
    assert times == sorted(set(times))
    assert times[0] == 1_700_000_000
    assert times[4] == 1_700_000_101


def test_a_key_that_left_the_file_is_withdrawn(
    ready: Ready, hearing: Hearing, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text("a\nb\n")
    announcer = ready(announcement(hearing.address, key_file=str(file), address=ADDRESS))
    announcer.announce()
    file.write_text("b\nc\n")
    hearing.said()
    announcer.announce()
    assert [said[:2] for said in hearing.said()] == [
        ("unsubscribe", "a"),
        ("subscribe", "b"),
        ("subscribe", "c"),
    ]
    file.unlink()
    announcer.announce()
    assert [said[:2] for said in hearing.said()] == [("subscribe", "b"), ("subscribe", "c")]


def test_a_node_without_its_check_file_is_withdrawn(
    ready: Ready, hearing: Hearing, tmp_path: Path
) -> None:
    file = tmp_path / "in-service"
    announcer = ready(node(hearing, check_file=str(file)))
    announcer.announce()
    assert hearing.said() == []
    file.touch()
    announcer.announce()
    file.unlink()
    announcer.announce()
    announcer.announce()
    assert [command for command, *_ in hearing.said()] == ["subscribe", "unsubscribe"]


def test_both_families_of_a_name_are_told(ready: Ready, keys: Path) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six,
    ):
        four.bind(("127.0.0.1", 0))
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::1", 0))
        heard = [Hearing(four), Hearing(six)]
        announcer = ready(*(node(h, signing=("SHA1", str(keys / "ec.pem"))) for h in heard))
        announcer.announce()
        times = [h.next().unix for h in heard]
    assert times == [1_700_000_000, 1_700_000_001]


def test_auto_is_settled_by_the_route(ready: Ready, hearing: Hearing) -> None:
    announcer = ready(node(hearing, address="auto:8000"))
    announcer.announce()
    assert hearing.said() == [("subscribe", "a", ADDRESS)]


def test_the_loopback_is_not_announced_to_another_machine(ready: Ready) -> None:
    far = announcement("192.0.2.1:3032", key="a", address=ADDRESS)
    with pytest.raises(SubscribeError, match="another machine"):
        ready(far)


def test_a_key_that_cannot_sign_is_told_at_once(
    ready: Ready, hearing: Hearing, tmp_path: Path
) -> None:
    with pytest.raises(SubscribeError, match="No such file"):
        ready(node(hearing, signing=("SHA1", str(tmp_path / "none.pem"))))


def test_nothing_goes_out_unsigned(
    ready: Ready, hearing: Hearing, keys: Path, tmp_path: Path
) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes((keys / "ec.pem").read_bytes())
    announcer = ready(node(hearing, signing=("SHA1", str(file))))
    announcer.announce()
    hearing.said()
    file.unlink()
    assert not announcer.announce()
    assert hearing.said() == []


def test_troubles_are_told_once_and_their_end_too(
    ready: Ready, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "announce.sock"
    announcer = ready(announcement(str(path), key="a", address=ADDRESS))
    with caplog.at_level(logging.INFO):
        assert not announcer.announce()
        assert not announcer.announce()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(str(path))
            assert announcer.announce()
            assert announcer.announce()
    assert caplog.messages == [
        f"announcing to {path}: there is no such socket",
        f"announcing to {path}: all is well again",
    ]


def test_a_name_that_is_not_found_is_told_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    announcer = Announcer([announcement("nobody.invalid:3032", key="a", address="auto:8000")])
    assert not announcer.resolve()
    announcer.settle()
    assert not announcer.announce()
    assert not announcer.resolve()
    (line,) = caplog.messages
    assert line.startswith("server nobody.invalid:3032: ")
    assert line.endswith("it is looked up again and again")
    assert not announcer.leave()


def test_a_unix_socket_for_another_machine_is_worth_a_word(
    ready: Ready, caplog: pytest.LogCaptureFixture
) -> None:
    ready(announcement("192.0.2.1:3032", key="a", address="/run/app.sock"))
    (line,) = caplog.messages
    assert line.endswith("it must have the same socket at this path")

"""What routers answer is shown, once, and can do no harm."""

import logging
import os
import socket
import stat
from pathlib import Path

import pytest

from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.notify import NotifySocket


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def send(to: NotifySocket, *texts: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        for text in texts:
            sock.sendto(text, to.path)
            to.read()


def test_answers_are_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notify = NotifySocket(str(tmp_path / "notify"))
    send(
        notify,
        b"[subscription ack] a => new node: 127.0.0.1:8000",
        b"[subscription refused] a => 127.0.0.1:8000: it is not signed",
        b"hello",
        b"hello",
    )
    notify.close()
    assert caplog.messages == [
        "accepted by the router: a => new node: 127.0.0.1:8000",
        "refused by the router: a => 127.0.0.1:8000: it is not signed",
        "the router says: hello",
    ]
    assert [r.levelname for r in caplog.records] == ["INFO", "WARNING", "WARNING"]
    assert not (tmp_path / "notify").exists()


def test_nobody_can_forge_or_fill_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notify = NotifySocket(str(tmp_path / "notify"))
    send(notify, b"a\nb\x1b[2J\xff" + b"x" * 4000, *(b"%d" % n for n in range(1000)))
    notify.close()
    assert caplog.messages[0].startswith("the router says: a?b?[2J\\xffxxx")
    assert max(map(len, caplog.messages)) < 600
    assert len(caplog.messages) < 100


def test_a_temporary_one_can_be_reached_by_other_users() -> None:
    notify = NotifySocket.temporary()
    assert notify is not None
    assert not notify.asked_for
    directory = os.path.dirname(notify.path)
    assert stat.S_IMODE(os.stat(notify.path).st_mode) == 0o666
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o711
    notify.close()
    assert not os.path.exists(directory)


def test_an_old_socket_is_replaced_but_no_file(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as old:
        old.bind(str(path))
    NotifySocket(str(path)).close()
    path.write_text("precious")
    with pytest.raises(SubscribeError, match="notify"):
        NotifySocket(str(path))
    assert path.read_text() == "precious"


def test_a_path_that_routers_ignore(tmp_path: Path) -> None:
    with pytest.raises(SubscribeError, match="up to 101 bytes"):
        NotifySocket(str(tmp_path / ("x" * 101)))

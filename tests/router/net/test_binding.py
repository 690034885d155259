"""Why a socket could not be bound, and what to do."""

import errno
import os

import pytest

from uwsgi_router.protocol.address import Address, InetAddress, UnixAddress
from uwsgi_router.router.net.binding import explain

TCP = InetAddress("127.0.0.1", 80)
FILE = UnixAddress(b"/run/router.sock")


@pytest.mark.parametrize(
    ("number", "address", "advice"),
    [
        (errno.EACCES, TCP, "ports below 1024 need root, CAP_NET_BIND_SERVICE or a systemd"),
        (errno.EADDRINUSE, TCP, "`ss -lntup sport = :80` names who has it"),
        (errno.EACCES, FILE, "we need write permission on its directory"),
        (errno.EROFS, FILE, ""),
        (errno.ENOBUFS, TCP, ""),
    ],
)
def test_an_error_says_what_to_do(number: int, address: Address, advice: str) -> None:
    text = explain(OSError(number, os.strerror(number)), address)
    assert text.startswith(os.strerror(number).lower())
    assert advice in text
    assert (";" in text) == bool(advice)

"""What tests of the client share: a subscription server's socket, and keys."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from uwsgi_router.protocol.subscription import Subscription, decode


class Hearing:
    """A bound datagram socket that reads announces."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(10)

    @property
    def address(self) -> str:
        name = self.sock.getsockname()
        if isinstance(name, str):
            return name
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"

    def next(self) -> Subscription:
        """Return the next announce; waits for it."""
        return decode(self.sock.recv(5000))

    def said(self) -> list[tuple[str, str, str]]:
        """Return (command, key, address) of all that has arrived, without waiting."""
        heard: list[tuple[str, str, str]] = []
        self.sock.setblocking(False)
        try:
            while True:
                s = self.next()
                heard.append((s.command, s.key.decode(), s.address))
        except BlockingIOError:
            self.sock.settimeout(10)
            return heard


@pytest.fixture
def hearing() -> Iterator[Hearing]:
    """A server on 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield Hearing(sock)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Private keys rsa.pem, ec.pem, ed25519.pem and encrypted.pem, with NAME.pub; made by openssl."""
    directory = tmp_path_factory.mktemp("keys")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    openssl("genrsa", "-out", "rsa.pem", "2048")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-out", "ec.pem")
    openssl("genpkey", "-algorithm", "ed25519", "-out", "ed25519.pem")
    openssl("rsa", "-in", "rsa.pem", "-aes128", "-passout", "pass:secret", "-out", "encrypted.pem")
    for name in ("rsa", "ec"):
        openssl("pkey", "-in", f"{name}.pem", "-pubout", "-out", f"{name}.pub")
    return directory

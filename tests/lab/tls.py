"""TLS of tests: an authority, certificates in files, and clients over TLS on the event loop."""

import asyncio
import ssl
from functools import cache
from pathlib import Path
from typing import Any

import trustme

from tests.lab.clients import Peer
from tests.lab.waiting import PATIENCE
from uwsgi_router.router.config.types import CertificateFiles, SecureListener

NAME = "a.example"


@cache
def authority() -> trustme.CA:
    """The authority that all certificates of a test run are from."""
    return trustme.CA()


def issue(folder: Path, *names: str, of: trustme.CA | None = None, **more: Any) -> tuple[str, str]:
    """Issue a certificate for names; return the files of its chain and its key."""
    leaf = (of or authority()).issue_cert(*names, **more)
    files = folder / f"{names[0]}.crt", folder / f"{names[0]}.key"
    files[0].write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    files[1].write_bytes(leaf.private_key_pem.bytes())
    return str(files[0]), str(files[1])


def listener(folder: Path, *names: str, **more: Any) -> SecureListener:
    """A listener for https on a free port, with a certificate for names."""
    address = "127.0.0.1:0"
    certificate, key = issue(folder, *(names or (NAME,)))
    return SecureListener(address, CertificateFiles(address, certificate, key, **more))


def client_context(**more: Any) -> ssl.SSLContext:
    """What a client needs who trusts the authority and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    for name, value in more.items():
        setattr(context, name, value)
    return context


class SecurePeer(Peer):
    """A test's end of a connection over TLS, as a client.

    Attributes:
        tls: the handshake's other side of the truth: version, cipher, the server's certificate.
    """

    def __init__(self, peer: Peer, context: ssl.SSLContext, name: str | None) -> None:
        super().__init__(peer.sock)
        self._received, self._sending = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._received, self._sending, server_hostname=name)

    async def handshake(self) -> None:
        """Shake hands.

        Raises:
            ssl.SSLError: it has failed.
        """
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._more_records()
            else:
                await self._flush()
                return

    async def send(self, data: bytes) -> None:
        self.tls.write(data)
        await self._flush()

    async def some(self, size: int = 65_536) -> bytes:
        if self.pending:
            data = bytes(self.pending[:size])
            del self.pending[:size]
            return data
        while True:
            try:
                return self.tls.read(size)
            except ssl.SSLWantReadError:
                await self._more_records()
            except ssl.SSLZeroReturnError:
                return b""

    async def goodbye(self) -> None:
        """End sending, with a close_notify."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        await self._flush()

    async def _receive(self) -> str:
        try:
            data = await self.some()
        except ConnectionResetError:
            return "reset"
        self.pending += data
        return "" if data else "closed"

    async def _flush(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._loop.sock_sendall(self.sock, self._sending.read())

    async def _more_records(self) -> None:
        async with asyncio.timeout(PATIENCE):
            data = await self._loop.sock_recv(self.sock, 65_536)
        if data:
            self._received.write(data)
        else:
            self._received.write_eof()

"""Ends of TLS connections that a test holds, and certificates for them."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import trustme

from tests.lab.clients import Peer
from tests.lab.scripts import Script
from tests.lab.waiting import PATIENCE
from uwsgi_router.router.config.types import CertificateFiles, SecureListener

T = TypeVar("T")

#: Plays one connection inside TLS.
Play = Callable[["TlsPeer"], Awaitable[None]]
#: The reason of OpenSSL for an end without close_notify.
UNEXPECTED_EOF = "UNEXPECTED_EOF_WHILE_READING"
#: The name that tests ask for unless they are about names.
NAME = "localhost"


@dataclass(frozen=True)
class Authority:
    """An authority, and where it puts certificates.

    Attributes:
        directory: of all files.
    """

    ca: trustme.CA
    directory: Path

    @classmethod
    def made(cls, directory: Path) -> "Authority":
        directory.mkdir(parents=True, exist_ok=True)
        ca = trustme.CA()
        ca.cert_pem.write_to_path(directory / "ca.pem")
        return cls(ca, directory)

    @property
    def file(self) -> str:
        """Its own certificate."""
        return str(self.directory / "ca.pem")

    def issue(self, name: str = NAME, *, at: str = "", common_name: str = "") -> CertificateFiles:
        """A certificate for a name, in two files."""
        leaf = self.ca.issue_cert(name, common_name=common_name or None)
        return self.write(leaf, name, at or name)

    def write(self, leaf: trustme.LeafCert, name: str, at: str) -> CertificateFiles:
        certificate, key = self.directory / f"{at}.crt", self.directory / f"{at}.key"
        key.write_bytes(leaf.private_key_pem.bytes())
        certificate.write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
        return CertificateFiles(name, str(certificate), str(key))

    def client(
        self,
        certificate: CertificateFiles | None = None,
        *,
        minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
        maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        alpn: tuple[str, ...] = (),
    ) -> ssl.SSLContext:
        """The context of a client that believes this authority, with a certificate of its own or without."""
        context = ssl.create_default_context(cafile=self.file)
        context.minimum_version, context.maximum_version = minimum, maximum
        # A connection that ends without close_notify is an error.
        context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
        if certificate is not None:
            context.load_cert_chain(certificate.certificate, certificate.key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def listener(self, files: CertificateFiles | None = None) -> SecureListener:
        """Of a router, on a free port."""
        return SecureListener("127.0.0.1:0", files or self.issue())


class TlsPeer(Peer):
    """An end of a TLS connection, a client's or a server's; the handshake is the test's to begin."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        name: str | None = NAME,
        session: ssl.SSLSession | None = None,
        *,
        server: bool = False,
    ) -> None:
        super().__init__(sock)
        self._sending = asyncio.Lock()
        # Encrypted, and not taken by the kernel.
        self._unsent = b""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        if name is None and not server:
            context.check_hostname = False
        self.tls = context.wrap_bio(
            self.incoming,
            self.outgoing,
            server_side=server,
            server_hostname=None if server else name,
            session=session,
        )

    async def handshake(self) -> None:
        """Do all of it; the server's alert is an SSLError."""
        await self._whole(self.tls.do_handshake)

    async def hello(self) -> bytes:
        """The first flight, which is not sent."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    async def _whole(self, step: Callable[[], T]) -> T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self.flush()
                async with asyncio.timeout(PATIENCE):
                    data = await self._loop.sock_recv(self.sock, 65_536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            except ssl.SSLError:
                # Its alert; nobody may be there to read it.
                with contextlib.suppress(OSError):
                    await self.flush()
                raise
            else:
                await self.flush()
                return done

    async def flush(self) -> None:
        # Several may write at once, and each has to be sent whole.
        async with self._sending:
            # Who only reads does not wait for what nobody takes.
            if self.outgoing.pending:
                data, self._unsent = self._unsent + self.outgoing.read(), b""
                await super().send(data)

    async def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            sent = self.tls.write(view[:16_384])
            view = view[sent:]
            await self.flush()

    async def send_until_stuck(self, most: int) -> int:
        """Send up to ``most`` bytes, until nobody has taken one for a moment; return how many."""
        sent = quiet = 0
        while quiet < 20 and sent < most:
            if not self._unsent:
                self.tls.write(bytes(16_384))
                self._unsent = self.outgoing.read()
            try:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
                quiet = 0
                sent += 0 if self._unsent else 16_384
            except BlockingIOError:
                quiet += 1
                await asyncio.sleep(0.005)
        return sent

    def now(self) -> str:
        """What there is to read now: the end ("closed"), bytes ("surplus"), or nothing ("kept")."""
        try:
            self.incoming.write(self.sock.recv(65_536))
        except BlockingIOError:
            pass
        try:
            self.pending += self.tls.read(65_536)
        except ssl.SSLWantReadError:
            return "kept"
        except ssl.SSLZeroReturnError:
            return "closed"
        return "surplus"

    async def some(self, size: int = 65_536) -> bytes:
        """The next bytes; b"" at the end; an end without close_notify is an SSLError."""
        if self.pending:
            return await super().some(size)
        return await self._decrypted(size)

    async def _decrypted(self, size: int = 65_536) -> bytes:
        try:
            return await self._whole(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    async def _receive(self) -> str:
        try:
            data = await self._decrypted()
        except ConnectionResetError:
            return "reset"
        except ssl.SSLError as error:
            # No SSLEOFError in Python 3.11.2.
            if not isinstance(error, ssl.SSLEOFError) and error.reason != UNEXPECTED_EOF:
                raise
            return "truncated"
        self.pending += data
        return "" if data else "closed"

    async def ending(self) -> tuple[bytes, str]:
        """Everything up to the end, and how it ended: "closed", "truncated" or "reset"."""
        how = ""
        while not how:
            how = await self._receive()
        return self._all(), how

    async def half_close(self) -> None:
        """Send close_notify, and nothing more."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass
        await self.flush()

    def eof(self) -> None:
        """End sending: close_notify, and the end of the TCP stream."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass
        self.sock.send(self.outgoing.read())
        super().eof()


async def served(peer: Peer, context: ssl.SSLContext) -> TlsPeer:
    """A node's end of a TLS connection, after the handshake."""
    node = TlsPeer(peer.sock, context, server=True)
    await node.handshake()
    return node


def inside_tls(context: ssl.SSLContext, play: Play) -> Script:
    """The script of a node that plays inside TLS; it may be that nobody believes it."""

    async def script(peer: Peer) -> None:
        try:
            await play(await served(peer, context))
        except (ssl.SSLError, ConnectionError, AssertionError):
            # It was not believed, or the connection has ended between two requests.
            return

    return script


def server_context(files: CertificateFiles, authority: str | None = None) -> ssl.SSLContext:
    """The context of a node with this certificate; clients need one of ``authority``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    if authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority)
    return context

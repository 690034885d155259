"""Makes ClientHellos, well-formed and not, and has those that real clients sent."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from uwsgi_router.protocol.tls.hello import Hello

VECTORS = Path(__file__).parents[2] / "vectors" / "client-hellos.tsv"

Extensions = Sequence[tuple[int, bytes]]


def vector(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width) + data


def server_name(*names: bytes, kind: int = 0) -> tuple[int, bytes]:
    return 0, vector(b"".join(bytes((kind,)) + vector(name, 2) for name in names), 2)


def protocols(*names: bytes) -> tuple[int, bytes]:
    return 16, vector(b"".join(vector(name, 1) for name in names), 2)


def versions(*numbers: int) -> tuple[int, bytes]:
    return 43, vector(b"".join(number.to_bytes(2) for number in numbers), 1)


def message(
    extensions: Extensions | None = (),
    *,
    version: int = 0x0303,
    session: bytes = b"",
    ciphers: bytes = b"\x13\x01\xc0\x2f",
    compressions: bytes = b"\0",
    more: bytes = b"",
    kind: int = 1,
) -> bytes:
    """Return a handshake message; with `extensions` None there is no list of them."""
    body = version.to_bytes(2) + b"r" * 32
    body += vector(session, 1) + vector(ciphers, 2) + vector(compressions, 1)
    if extensions is not None:
        body += vector(b"".join(k.to_bytes(2) + vector(value, 2) for k, value in extensions), 2)
    return bytes((kind,)) + vector(body + more, 3)


def record(data: bytes, *, kind: int = 22, version: int = 0x0301) -> bytes:
    return bytes((kind,)) + version.to_bytes(2) + vector(data, 2)


def records(data: bytes, size: int) -> bytes:
    """Return a message in records of so many bytes."""
    return b"".join(record(data[at : at + size]) for at in range(0, len(data), size))


def split(hello: bytes, size: int) -> bytes:
    """Return a hello of one record in smaller records."""
    return records(hello[5:], size)


def of_openssl(name: str | None, *, alpn: Sequence[str] = (), highest: int = 0x0304) -> bytes:
    """Return what OpenSSL sends as a client that speaks TLS 1.2, and whatever is above it up to ``highest``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Debian's Python begins with 1.0, others with 1.2.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion(highest)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake without a server")


class Said(NamedTuple):
    """What a hello says, to be compared."""

    server_name: str | None
    versions: tuple[int, ...]
    alpn: tuple[bytes, ...]
    size: int


def said(hello: Hello) -> Said:
    return Said(hello.server_name, hello.versions, hello.alpn, hello.size)


@dataclass(frozen=True)
class Recorded:
    """A line of the vectors: whose hello it is, and what it says."""

    client: str
    data: bytes
    name: str | None
    versions: tuple[int, ...]
    protocols: tuple[bytes, ...]


def recorded() -> list[Recorded]:
    lines = [line.split("\t") for line in VECTORS.read_text().splitlines()]
    return [
        Recorded(
            client=client,
            data=bytes.fromhex(data),
            name=name or None,
            versions=tuple(int(number, 16) for number in numbers.split()),
            protocols=tuple(word.encode() for word in words.split()),
        )
        for client, data, name, numbers, words in lines
    ]

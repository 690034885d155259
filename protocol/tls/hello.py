"""ClientHello: the name (SNI), versions and protocols (ALPN) that a client asks for, read before a handshake begins.

What a connection gets depends on the name (certificate, client certificates, lowest version), so it is read from bytes
that stay in the socket's buffer; OpenSSL reads them again. Sources: RFC 8446 sections 4.1.2, 4.2 and 5.1, RFC 5246
section 7.4.1.2, RFC 6066 section 3, RFC 7301 section 3.1.

Reading is stricter than OpenSSL, so that nothing passes here that has another meaning there. Refused here and taken by
OpenSSL are: an unknown extension that is there twice, an empty name, messages behind the hello in its last record, more
than 32 records, more than 16 KB.
"""

import re
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.tls.errors import BadHello, NotTls

#: Bytes of a hello, without the headers of its records. Real ones have 200 to 2,000; OpenSSL would take 131,396.
MAX_HELLO: Final = 16384
#: Records that one hello may be spread over. Clients that split it on purpose make two or three.
MAX_RECORDS: Final = 32
#: Bytes of the largest hello with the headers of its records: who has read so many and gets None has an error here.
MAX_HELLO_BYTES: Final = MAX_HELLO + 4 + MAX_RECORDS * 5

TLS_1_0: Final = 0x0301
TLS_1_1: Final = 0x0302
TLS_1_2: Final = 0x0303
TLS_1_3: Final = 0x0304

# What clients without a list of versions can speak, the highest one first; 1.3 is only had by a list.
_BEFORE_1_3: Final = (TLS_1_2, TLS_1_1, TLS_1_0, 0x0300)

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_MAX_RECORD: Final = 16384

_SERVER_NAME: Final = 0
_ALPN: Final = 16
_SUPPORTED_VERSIONS: Final = 43

_HTTP = re.compile(rb"[A-Z]{1,24}(?: |\Z)")
# As hosts of HTTP are (protocol/http/host.py), but for addresses: no empty labels, the last one not all digits.
_NAME = re.compile(
    rb"(?:[a-z0-9_-]{1,63}\.)*(?=[a-z0-9_-]{0,62}[a-z_-])[a-z0-9_-]{1,63}\.?", re.IGNORECASE
)
_MAX_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class Hello:
    """ClientHello, as far as it decides anything.

    Attributes:
        server_name: the host that the client wants, in lower case, without a final dot; internationalized names as
            they are sent, as A-labels. None if the client names none, or something that is no host name: an address
            (RFC 6066 forbids it, some clients do it) or characters that no name has. nginx treats those as unknown
            names, too.
        versions: of TLS, as numbers (0x0304 is 1.3), in the client's order, unknown ones (GREASE) included. A client
            before 1.3 names only its highest one, and speaks all below it.
        alpn: protocols, in the client's order; empty if it offers none.
        size: bytes of the hello, record headers included.
    """

    server_name: str | None
    versions: tuple[int, ...]
    alpn: tuple[bytes, ...]
    size: int


def read_hello(data: bytes) -> Hello | None:
    """Read the ClientHello that a connection begins with.

    Args:
        data: everything that has come so far; what is behind the hello is not looked at.

    Returns:
        The hello, or None if more bytes are needed.

    Raises:
        NotTls: the first byte is not the beginning of a TLS handshake.
        BadHello: as soon as the bytes can't become a hello.
    """
    if not data:
        return None
    if data[0] != _HANDSHAKE:
        http = _HTTP.match(data) is not None
        raise NotTls(f"the connection begins with {data[:16]!r}, not with TLS", http=http)
    message = b""
    pos = 0
    for _ in range(MAX_RECORDS):
        header = data[pos : pos + 5]
        _check_record(header)
        if len(header) < 5:
            return None
        end = pos + 5 + int.from_bytes(header[3:5])
        message += data[pos + 5 : end]
        size = _size_of(message)
        if end > len(data):
            return None
        pos = end
        if len(message) >= 4 and len(message) >= size:
            if len(message) > size:
                raise BadHello(f"{len(message) - size} bytes follow the hello in its record")
            return _read_message(message, pos)
    raise BadHello(f"the hello is spread over more than {MAX_RECORDS} records")


def _check_record(header: bytes) -> None:
    """Check as much of a record's header as is there: type, version (its first byte), length."""
    if header and header[0] != _HANDSHAKE:
        raise BadHello(f"a record of type {header[0]} stands where the hello goes on")
    if len(header) > 1 and header[1] != 3:
        raise BadHello(f"a record of version 0x{header[1]:02x}.. is none of TLS")
    if len(header) == 5 and not 0 < int.from_bytes(header[3:5]) <= _MAX_RECORD:
        raise BadHello(f"a record of {int.from_bytes(header[3:5])} bytes")


def _size_of(message: bytes) -> int:
    """Return how long a message is, by its header: its type is checked, and its length if that is there."""
    if message and message[0] != _CLIENT_HELLO:
        raise BadHello(f"the first message is of type {message[0]}; a ClientHello is of type 1")
    if len(message) < 4:
        return 4
    size = int.from_bytes(message[1:4])
    if size > MAX_HELLO:
        raise BadHello(f"a hello of {size} bytes; at most {MAX_HELLO} are taken")
    return 4 + size


def _read_message(message: bytes, size: int) -> Hello:
    # Header (4), version (2), random (32), and then vectors, each behind its length.
    version = int.from_bytes(message[4:6])
    if len(message) < 38 or version >> 8 != 3:
        raise BadHello("the hello has no version and random")
    session, pos = _vector(message, 38, 1, "session id")
    ciphers, pos = _vector(message, pos, 2, "list of ciphers")
    compressions, pos = _vector(message, pos, 1, "list of compressions")
    if len(session) > 32:
        raise BadHello(f"a session id of {len(session)} bytes")
    if not ciphers or len(ciphers) % 2:
        raise BadHello(f"a list of ciphers of {len(ciphers)} bytes")
    if not compressions:
        raise BadHello("an empty list of compressions")
    if pos == len(message):
        return Hello(None, _versions_to(version), (), size)
    extensions, pos = _vector(message, pos, 2, "list of extensions")
    if pos != len(message):
        raise BadHello(f"{len(message) - pos} bytes follow the extensions")
    found = _read_extensions(extensions)
    name = found.get(_SERVER_NAME)
    protocols = found.get(_ALPN)
    versions = found.get(_SUPPORTED_VERSIONS)
    return Hello(
        None if name is None else _read_name(name),
        _versions_to(version) if versions is None else _read_versions(versions),
        () if protocols is None else _read_protocols(protocols),
        size,
    )


def _read_extensions(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    pos = 0
    while pos < len(data):
        kind = int.from_bytes(data[pos : pos + 2])
        value, pos = _vector(data, pos + 2, 2, "extension")
        if kind in found:
            raise BadHello(f"extension {kind} is there twice")
        found[kind] = value
    return found


def _read_name(data: bytes) -> str | None:
    names = _whole(data, 2, "list of server names")
    if names[:1] != b"\0":
        raise BadHello("a server name of an unknown kind")
    name = _whole(names[1:], 2, "server name")
    if not name or len(name) > _MAX_NAME or b"\0" in name:
        raise BadHello(f"a server name of {len(name)} bytes, or with a NUL")
    return server_name_of(name)


def server_name_of(host: bytes) -> str | None:
    """Return a host without its port as the name that a client asks for by TLS; None if it is no name."""
    if not _NAME.fullmatch(host):
        return None
    return host.decode("ascii").lower().removesuffix(".")


def _read_versions(data: bytes) -> tuple[int, ...]:
    versions = _whole(data, 1, "list of versions")
    if not versions or len(versions) % 2:
        raise BadHello(f"a list of versions of {len(versions)} bytes")
    return tuple([int.from_bytes(versions[at : at + 2]) for at in range(0, len(versions), 2)])


def _versions_to(highest: int) -> tuple[int, ...]:
    return tuple([version for version in _BEFORE_1_3 if version <= highest])


def _read_protocols(data: bytes) -> tuple[bytes, ...]:
    names = _whole(data, 2, "list of protocols")
    found = []
    pos = 0
    while pos < len(names):
        name, pos = _vector(names, pos, 1, "protocol")
        if not name:
            raise BadHello("an empty protocol name")
        found.append(name)
    if not found:
        raise BadHello("an empty list of protocols")
    return tuple(found)


def _whole(data: bytes, width: int, name: str) -> bytes:
    """Return the bytes of a vector that ends where its surroundings end."""
    value, pos = _vector(data, 0, width, name)
    if pos != len(data):
        raise BadHello(f"{len(data) - pos} bytes follow the {name}")
    return value


def _vector(data: bytes, pos: int, width: int, name: str) -> tuple[bytes, int]:
    """Return the bytes behind a length of 1 or 2 bytes, and where they end."""
    start = pos + width
    if start > len(data):
        raise BadHello(f"the {name} has no length")
    end = start + int.from_bytes(data[pos:start])
    if end > len(data):
        raise BadHello(f"the {name} ends {end - len(data)} bytes behind the end")
    return data[start:end], end

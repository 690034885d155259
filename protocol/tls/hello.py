"""ClientHello: the name (SNI), versions and protocols (ALPN) that a client asks for, read before a handshake begins.

What a connection gets depends on the name (certificate, client certificates, lowest version), so it is read from bytes
that stay in the socket's buffer; OpenSSL reads them again. Sources: RFC 8446 sections 4.1.2, 4.2 and 5.1, RFC 5246
section 7.4.1.2, RFC 6066 section 3, RFC 7301 section 3.1.

Reading is stricter than OpenSSL, so that nothing passes here that has another meaning there. Refused here and taken by
OpenSSL are: an unknown extension that is there twice, an empty name, messages behind the hello in its last record, more
than 32 records, more than 16 KB.
"""

import re
from typing import Final

from uwsgi_router.protocol.bounded import Bounded
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
# Names as they were sent last, and what they came to: looking at one by itself takes as long as all the rest.
_REMEMBERED: Final = 1_024
_names: dict[bytes, str | None] = Bounded(_REMEMBERED)


class Hello:
    """ClientHello, as far as it decides anything.

    Args:
        server_name: see below.
        size: see below.
        message: the hello without the headers of its records, which was checked.
        versions: where its list of versions is; 0: it has none.
        alpn: where its list of protocols is; 0: it has none.

    Attributes:
        server_name: the host that the client wants, in lower case, without a final dot; internationalized names as
            they are sent, as A-labels. None if the client names none, or something that is no host name: an address
            (RFC 6066 forbids it, some clients do it) or characters that no name has. nginx treats those as unknown
            names, too.
        size: bytes of the hello, record headers included.
    """

    __slots__ = ("_alpn", "_message", "_versions", "server_name", "size")

    def __init__(
        self, server_name: str | None, size: int, message: bytes, versions: int, alpn: int
    ) -> None:
        self.server_name = server_name
        self.size = size
        self._message = message
        self._versions = versions
        self._alpn = alpn

    def __repr__(self) -> str:
        return f"<Hello {self.server_name!r} {self.versions} {self.alpn} size={self.size}>"

    @property
    def versions(self) -> tuple[int, ...]:
        """Versions of TLS, as numbers (0x0304 is 1.3), in the client's order, unknown ones (GREASE) included.

        A client before 1.3 names only its highest one, and speaks all below it.
        """
        message, pos = self._message, self._versions
        if not pos:
            highest = 0x0300 | message[5]
            return tuple([version for version in _BEFORE_1_3 if version <= highest])
        end = pos + 1 + message[pos]
        return tuple([message[at] << 8 | message[at + 1] for at in range(pos + 1, end, 2)])

    @property
    def alpn(self) -> tuple[bytes, ...]:
        """Protocols, in the client's order; empty if it offers none."""
        message, pos = self._message, self._alpn
        if not pos:
            return ()
        end = pos + 2 + (message[pos] << 8 | message[pos + 1])
        pos += 2
        found = []
        while pos < end:
            behind = pos + 1 + message[pos]
            found.append(message[pos + 1 : behind])
            pos = behind
        return tuple(found)


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
        end = _end_of_record(data, pos)
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


def _end_of_record(data: bytes, pos: int) -> int:
    """Return where a record ends, at least behind its header; of that, what has come is checked."""
    have = len(data) - pos
    if have > 0 and data[pos] != _HANDSHAKE:
        raise BadHello(f"a record of type {data[pos]} stands where the hello goes on")
    # The first byte of its version.
    if have > 1 and data[pos + 1] != 3:
        raise BadHello(f"a record of version 0x{data[pos + 1]:02x}.. is none of TLS")
    if have < 5:
        return pos + 5
    size = data[pos + 3] << 8 | data[pos + 4]
    if not 0 < size <= _MAX_RECORD:
        raise BadHello(f"a record of {size} bytes")
    return pos + 5 + size


def _size_of(message: bytes) -> int:
    """Return how long a message is, by its header: its type is checked, and its length if that is there."""
    if message and message[0] != _CLIENT_HELLO:
        raise BadHello(f"the first message is of type {message[0]}; a ClientHello is of type 1")
    if len(message) < 4:
        return 4
    size = message[1] << 16 | message[2] << 8 | message[3]
    if size > MAX_HELLO:
        raise BadHello(f"a hello of {size} bytes; at most {MAX_HELLO} are taken")
    return 4 + size


def _read_message(message: bytes, size: int) -> Hello:
    # Header (4), version (2), random (32), and then vectors, each behind its length.
    end = len(message)
    if end < 38 or message[4] != 3:
        raise BadHello("the hello has no version and random")
    session = _end_of(message, 38, 1, end, "session id")
    ciphers = _end_of(message, session, 2, end, "list of ciphers")
    compressions = _end_of(message, ciphers, 1, end, "list of compressions")
    if session - 39 > 32:
        raise BadHello(f"a session id of {session - 39} bytes")
    size_of_ciphers = ciphers - session - 2
    if not size_of_ciphers or size_of_ciphers % 2:
        raise BadHello(f"a list of ciphers of {size_of_ciphers} bytes")
    if compressions - ciphers == 1:
        raise BadHello("an empty list of compressions")
    if compressions == end:
        return Hello(None, size, message, 0, 0)
    extensions = _end_of(message, compressions, 2, end, "list of extensions")
    if extensions != end:
        raise BadHello(f"{end - extensions} bytes follow the extensions")
    name, versions, protocols = _find_extensions(message, compressions + 2)
    server_name = _read_name(message, name) if name else None
    if versions:
        _check_versions(message, versions)
    if protocols:
        _check_protocols(message, protocols)
    return Hello(
        server_name,
        size,
        message,
        versions + 2 if versions else 0,
        protocols + 2 if protocols else 0,
    )


def _find_extensions(message: bytes, pos: int) -> tuple[int, int, int]:
    """Return where the lengths of server name, versions and protocols are, 0: there are none; all are looked through.

    All extensions together end with the message.
    """
    name = versions = protocols = 0
    # Those below 60, which nearly all are, as bits.
    seen = 0
    others: set[int] = set()
    end = len(message)
    while pos < end:
        behind = _end_of(message, pos + 2, 2, end, "extension")
        kind = message[pos] << 8 | message[pos + 1]
        if kind < 60:
            bit = 1 << kind
            again = seen & bit != 0
            seen |= bit
        else:
            again = kind in others
            others.add(kind)
        if again:
            raise BadHello(f"extension {kind} is there twice")
        if kind == _SERVER_NAME:
            name = pos + 2
        elif kind == _SUPPORTED_VERSIONS:
            versions = pos + 2
        elif kind == _ALPN:
            protocols = pos + 2
        pos = behind
    return name, versions, protocols


def _read_name(message: bytes, pos: int) -> str | None:
    end = _end_of(message, pos, 2, len(message), "extension")
    _whole(message, pos + 2, 2, end, "list of server names")
    if pos + 4 == end or message[pos + 4]:
        raise BadHello("a server name of an unknown kind")
    _whole(message, pos + 5, 2, end, "server name")
    name = message[pos + 7 : end]
    if not name or len(name) > _MAX_NAME or b"\0" in name:
        raise BadHello(f"a server name of {len(name)} bytes, or with a NUL")
    return server_name_of(name)


def server_name_of(host: bytes) -> str | None:
    """Return a host without its port as the name that a client asks for by TLS; None if it is no name."""
    if host in _names:
        return _names[host]
    name = None
    if _NAME.fullmatch(host):
        name = host.decode("ascii").lower().removesuffix(".")
    if len(host) <= _MAX_NAME:
        _names[host] = name
    return name


def _check_versions(message: bytes, pos: int) -> None:
    end = _end_of(message, pos, 2, len(message), "extension")
    _whole(message, pos + 2, 1, end, "list of versions")
    if pos + 3 == end or (end - pos - 3) % 2:
        raise BadHello(f"a list of versions of {end - pos - 3} bytes")


def _check_protocols(message: bytes, pos: int) -> None:
    end = _end_of(message, pos, 2, len(message), "extension")
    _whole(message, pos + 2, 2, end, "list of protocols")
    pos += 4
    if pos == end:
        raise BadHello("an empty list of protocols")
    while pos < end:
        behind = _end_of(message, pos, 1, end, "protocol")
        if behind == pos + 1:
            raise BadHello("an empty protocol name")
        pos = behind


def _whole(data: bytes, pos: int, width: int, limit: int, name: str) -> None:
    """Check that a vector ends where its surroundings end."""
    end = _end_of(data, pos, width, limit, name)
    if end != limit:
        raise BadHello(f"{limit - end} bytes follow the {name}")


def _end_of(data: bytes, pos: int, width: int, limit: int, name: str) -> int:
    """Return where a vector ends whose length, of 1 or 2 bytes, is at ``pos``; its surroundings end at ``limit``."""
    start = pos + width
    if start > limit:
        raise BadHello(f"the {name} has no length")
    end = start + (data[pos] if width == 1 else data[pos] << 8 | data[pos + 1])
    if end > limit:
        raise BadHello(f"the {name} ends {end - limit} bytes behind the end")
    return end

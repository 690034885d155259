"""Host validation: the authority that a request is for (RFC 9110 section 7.2, RFC 3986 section 3.2)."""

import ipaddress
import re
from typing import Final

from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.protocol.http.errors import HttpError, quoted

MAX_HOST: Final = 255

# RFC 3986 lets a name hold much more ("!$&'()*+,;=%"); none of it is in names that exist, and what is accepted here
# becomes a routing key, and with use-base and use-pattern part of a file's name. No empty labels, so no "..".
_HOST = re.compile(
    rb"(?:(?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+\.?|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{0,5}))?"
)
_KNOWN_HOSTS: Final = 1024
_known: Final[dict[bytes, None]] = Bounded(_KNOWN_HOSTS)


def check_host(value: bytes) -> None:
    """Make sure that a Host value, or the authority of an absolute target, names one host.

    It is a name of letters, digits, ``-`` and ``_`` between single dots (a final dot is fine), an IPv4 address or an
    IPv6 address in brackets, all with or without a port; 255 bytes at most.

    Raises:
        HttpError: 400, bad-host.
    """
    if value in _known:
        return
    if len(value) > MAX_HOST:
        raise HttpError(
            400, "bad-host", f"host of {len(value)} bytes; at most {MAX_HOST} are taken"
        )
    match = _HOST.fullmatch(value)
    if not match or int(match["port"] or 0) > 65535 or not _is_ipv6(match["v6"]):
        raise HttpError(
            400, "bad-host", f"{quoted(value)} is no host name or address with or without a port"
        )
    _known[value] = None


def _is_ipv6(address: bytes | None) -> bool:
    if address is None:
        return True
    try:
        ipaddress.IPv6Address(address.decode("ascii"))
    except ValueError:
        return False
    return True


_PORTS: Final = {b"http": b"80", b"https": b"443"}


def server_authority(name: bytes, port: bytes, scheme: bytes) -> bytes:
    """Return the authority of a request that names none: of the server, as applications make it (PEP 3333, URLs).

    Args:
        name: of the server; b"" if it is not known, which makes b"".
        port: decimal; b"" if there is none. The scheme's own is left out.
        scheme: ``http`` or ``https``.
    """
    if b":" in name and not name.startswith(b"["):
        name = b"[" + name + b"]"
    return name + b":" + port if name and port and port != _PORTS[scheme] else name

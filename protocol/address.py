r"""Socket addresses as uWSGI writes them, read strictly.

One syntax serves listeners, nodes, datagram sockets and stats; what differs is which forms are
allowed where:

| form                          | meaning                                                        |
|-------------------------------|----------------------------------------------------------------|
| ``host:port``, ``:port``      | TCP or UDP; the host may be a name; empty = every interface     |
| ``[v6]:port``                 | TCP or UDP over IPv6                                            |
| ``/path``                     | UNIX socket, even when the path holds a colon                   |
| text without a colon          | UNIX socket, relative to the working directory                  |
| ``@name``, ``\0name``          | abstract UNIX socket                                            |
| ``=N``, ``fd://N``            | listeners only: the N-th shared socket, an inherited descriptor |

Source: uWSGI: core/socket.c. uWSGI binds and connects abstract names with one
trailing NUL byte, so the kernel's name is NUL + name + NUL; we do the same, or its sockets could
not be found.
"""

import ipaddress
import re
from dataclasses import dataclass

from uwsgi_router.protocol.text import show, to_bytes

# sun_path holds 108 bytes; a path needs its terminating NUL, an abstract name brings its own.
MAX_UNIX_PATH = 107
# What a subscription may announce (uWSGI: core/subscription.c).
MAX_ANNOUNCED_PATH = 255

# RFC 1123 names (at most 63 bytes a label, 253 in all), with the underscore that container networks
# use. What is longer or not ASCII would make the resolver raise UnicodeError, not OSError.
_HOST_NAME = re.compile(r"(?=.{1,254}\Z)(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?\Z")
# "0" and "127.1" are addresses to resolvers (of this machine, even); nobody means them as names.
_NUMERIC_NAME = re.compile(r"[0-9]{1,10}\Z|[0-9]+(?:\.[0-9]+)+\.?\Z")
_SCOPE = re.compile(r"[A-Za-z0-9_.-]{1,15}\Z")


class AddressError(ValueError):
    """Error for a text that is not an address of an allowed form; ``str()`` says what was expected."""


@dataclass(frozen=True, slots=True)
class InetAddress:
    """TCP or UDP address.

    Attributes:
        host: an IPv4 or IPv6 address without brackets, a host name, or "" for every interface.
        port: 0 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_name(self) -> bool:
        """True if the host must be resolved first."""
        return bool(self.host) and not is_ip(self.host)

    @property
    def is_every_interface(self) -> bool:
        """True for ``:port``, ``0.0.0.0:port``, ``[::]:port``: where to listen, not to connect."""
        return not self.host or (
            is_ip(self.host) and ipaddress.ip_address(self.host).is_unspecified
        )


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """UNIX socket address.

    Attributes:
        path: what ``bind``/``connect`` take: a file system path, or NUL + name + NUL for an
            abstract name.
    """

    path: bytes

    @property
    def is_abstract(self) -> bool:
        """True for a name in Linux's abstract namespace."""
        return self.path.startswith(b"\0")

    def __str__(self) -> str:
        if self.is_abstract:
            return "@" + show(self.path[1:-1])
        return show(self.path)


@dataclass(frozen=True, slots=True)
class SharedSocketAddress:
    """Shared socket ``=N``: the N-th ``shared-socket`` of the configuration, counted from 0."""

    index: int

    def __str__(self) -> str:
        return f"={self.index}"


@dataclass(frozen=True, slots=True)
class InheritedAddress:
    """Inherited descriptor ``fd://N``: a socket that the parent process left open."""

    fd: int

    def __str__(self) -> str:
        return f"fd://{self.fd}"


Address = InetAddress | UnixAddress
ListenAddress = InetAddress | UnixAddress | SharedSocketAddress | InheritedAddress


def is_ip(host: str) -> bool:
    """Return True if ``host`` is a literal IPv4 or IPv6 address (a scope such as ``%eth0`` included)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_port(text: str, *, allow_zero: bool = False) -> int:
    """Read a decimal port.

    Raises:
        AddressError: unless it is 1 to 65535 in ASCII digits (0 too with ``allow_zero``).
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 5) or int(text) > 65535:
        raise AddressError(f"port {text!r} is not a number from {0 if allow_zero else 1} to 65535")
    port = int(text)
    if not port and not allow_zero:
        raise AddressError("port 0 means nothing here")
    return port


def parse_address(text: str, *, allow_port_zero: bool = False) -> Address:
    """Read the address of a node, of a datagram socket or of a stats server.

    Args:
        text: as written in a configuration or announced by a node.
        allow_port_zero: True where port 0 means "any free port" (listening).

    Raises:
        AddressError: with what was expected.
    """
    return _parse(text, allow_port_zero, MAX_UNIX_PATH)


def parse_node_address(text: str) -> Address:
    """Read an announced address: as :func:`parse_address`, but a UNIX name may have 255 bytes.

    uWSGI takes these too (core/subscription.c). One that no socket can have fails when
    it is connected, like a path that doesn't exist.

    Raises:
        AddressError: with what was expected.
    """
    return _parse(text, allow_port_zero=False, max_path=MAX_ANNOUNCED_PATH)


def _parse(text: str, allow_port_zero: bool, max_path: int) -> Address:
    if not text:
        raise AddressError("the address is empty")
    if text.startswith(("@", "\\0", "\0")):
        name = text[2:] if text.startswith("\\0") else text[1:]
        return _abstract(name, max_path)
    if text.startswith("/") or ":" not in text:
        return _unix(text, max_path)
    host, _, port_text = text.rpartition(":")
    port = parse_port(port_text, allow_zero=allow_port_zero)
    return InetAddress(_host(host), port)


def parse_datagram_address(text: str) -> Address:
    """Read a datagram socket's address: as :func:`parse_address`, but ``@name`` is a file.

    uWSGI creates a file called ``@name`` there; so do its clients when they send to it.
    """
    if text.startswith("@"):
        return _unix(text, MAX_UNIX_PATH)
    return parse_address(text, allow_port_zero=True)


def parse_listen_address(text: str) -> ListenAddress:
    """Read the address of a listening stream socket, ``=N`` and ``fd://N`` included.

    Raises:
        AddressError: with what was expected.
    """
    if text.startswith("="):
        return SharedSocketAddress(
            _index(text[1:], "a shared socket is written =N, N counted from 0")
        )
    if text.startswith("fd://"):
        return InheritedAddress(_index(text[5:], "an inherited descriptor is written fd://N"))
    return parse_address(text, allow_port_zero=True)


def _index(text: str, expected: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise AddressError(expected)
    return int(text)


def _abstract(name: str, max_path: int) -> UnixAddress:
    raw = to_bytes(name)
    if not raw or b"\0" in raw:
        raise AddressError("an abstract UNIX name needs at least one character and no NUL")
    if len(raw) + 2 > max_path + 1:
        raise AddressError(f"the abstract UNIX name is longer than {max_path - 1} bytes")
    return UnixAddress(b"\0" + raw + b"\0")


def _unix(path: str, max_path: int) -> UnixAddress:
    raw = to_bytes(path)
    if b"\0" in raw:
        raise AddressError("a UNIX socket path must not hold a NUL")
    if len(raw) > max_path:
        raise AddressError(f"the UNIX socket path is longer than {max_path} bytes")
    return UnixAddress(raw)


def _host(text: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        host = text[1:-1]
        _, percent, scope = host.partition("%")
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise AddressError(f"{text!r} is not an IPv6 address in brackets") from None
        if percent and not _SCOPE.match(scope):
            raise AddressError(f"{scope!r} is not the name of a network interface")
        return host
    if ":" in text:
        raise AddressError(f"write an IPv6 address in brackets: [{text}]:port")
    if not text or is_ip(text):
        return text
    if _NUMERIC_NAME.match(text):
        raise AddressError(f"{text!r} is not an IPv4 address: write four numbers, a.b.c.d")
    if not _HOST_NAME.match(text):
        raise AddressError(f"{text!r} is neither an IP address nor a host name")
    return text

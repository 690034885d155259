"""Readers of the options that decide who may announce what, and of those that pass announces on."""

import ipaddress
import pwd

from uwsgi_router.protocol.address import (
    AddressError,
    InetAddress,
    parse_address,
    parse_datagram_address,
    parse_port,
)
from uwsgi_router.protocol.key import normal_key
from uwsgi_router.protocol.text import show
from uwsgi_router.router.config.values import Kind, integer, refuse_bare_port
from uwsgi_router.subscriptions.credentials import OVERFLOW_UID
from uwsgi_router.subscriptions.permission import PortRange, Tenant
from uwsgi_router.subscriptions.signature import SignCheck, digest_name

_TENANT_KEYS = ("uid", "keys", "nodes", "max-keys", "max-nodes")
_DEFAULT = Tenant(0, "", ())


def _sign_check(text: str) -> SignCheck:
    digest, colon, directory = text.partition(":")
    if not colon or not directory:
        raise ValueError("expected DIGEST:DIRECTORY, for example SHA256:/etc/uwsgi-router/keys")
    return SignCheck(digest_name(digest), directory)


def _uid(text: str) -> int:
    """Read a user's name or number; the one that the kernel uses for strangers is no user."""
    if text.isascii() and text.isdigit() and len(text) <= 10:
        uid = int(text)
    else:
        try:
            uid = pwd.getpwnam(text).pw_uid
        except (KeyError, ValueError):
            raise ValueError("expected a user of this machine, or a number") from None
    if uid == OVERFLOW_UID:
        raise ValueError(
            f"expected a user of its own: {OVERFLOW_UID} is what the kernel calls everybody whom it can't name"
        )
    return uid


def _skipped_uid(text: str) -> int:
    uid = _uid(text)
    if uid == 0:
        raise ValueError("expected another user than root, whose announces are always checked")
    return uid


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"expected one network or address, for example 10.0.0.0/8; repeat the option for more ({error})"
        ) from None


def _tenant(text: str) -> Tenant:
    given: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or name not in _TENANT_KEYS:
            raise ValueError(
                f"expected uid=USER,keys=PATTERN|PATTERN,nodes=…,max-keys=N,max-nodes=N, and {part!r} is none of these"
            )
        if name in given:
            raise ValueError(f"expected {name} only once")
        given[name] = value.strip()
    if not given.get("uid") or not given.get("keys"):
        raise ValueError("expected uid=USER and keys=PATTERN")
    paths, ports = _nodes(given.get("nodes"))
    return Tenant(
        uid=_uid(given["uid"]),
        name=given["uid"],
        keys=tuple(map(_pattern, _parts("keys", given["keys"]))),
        paths=paths,
        ports=ports,
        max_keys=_number("max-keys", given, _DEFAULT.max_keys),
        max_nodes=_number("max-nodes", given, _DEFAULT.max_nodes),
    )


def _parts(name: str, text: str) -> list[bytes]:
    parts = text.split("|")
    if not all(parts):
        raise ValueError(f"expected patterns with | between them for {name}")
    return [part.encode("utf-8", "surrogateescape") for part in parts]


def _pattern(pattern: bytes) -> bytes:
    """Return a pattern as announced keys are compared with it: they are in their normal form."""
    host = pattern.partition(b"/")[0]
    if host.endswith(b"."):
        # Without the dot "*." would cover everything.
        raise ValueError(f"expected a pattern without a final dot, not {show(host)}")
    return normal_key(pattern)


def _nodes(text: str | None) -> tuple[tuple[bytes, ...], tuple[PortRange, ...]]:
    if text is None:
        return (), ()
    paths, ports = [], []
    for raw in _parts("nodes", text):
        part = raw.decode("utf-8", "surrogateescape")
        if part.startswith("/"):
            paths.append(raw)
        else:
            ports.append(_ports(part))
    return tuple(paths), tuple(ports)


def _ports(text: str) -> PortRange:
    host, colon, numbers = text.rpartition(":")
    low, _, high = numbers.partition("-")
    try:
        address = parse_address(f"{host}:{low}") if colon else None
        last = parse_port(high or low)
    except AddressError as error:
        raise ValueError(f"expected HOST:PORT or HOST:PORT-PORT for nodes: {error}") from None
    if not isinstance(address, InetAddress) or address.is_every_interface or last < address.port:
        raise ValueError(
            f"expected /PATH/*, HOST:PORT or HOST:PORT-PORT for nodes, and {text!r} is none of these"
        )
    return PortRange(address.host, address.port, last)


def _number(name: str, given: dict[str, str], default: int) -> int:
    if name not in given:
        return default
    try:
        number = integer("N", 1, 1_000_000).parse(given[name])
    except ValueError as error:
        raise ValueError(f"{error} for {name}") from None
    assert isinstance(number, int)
    return number


def _server(text: str) -> str:
    """Read where another router listens to announces."""
    refuse_bare_port(text)
    try:
        address = parse_datagram_address(text)
    except AddressError as error:
        raise ValueError(f"expected host:port, [v6]:port or a socket path: {error}") from None
    if isinstance(address, InetAddress):
        unfit = address.is_every_interface or not address.port
    else:
        # A path without any slash is more likely a host whose port was forgotten.
        unfit = "/" not in text and not text.startswith("@")
    if unfit:
        raise ValueError(
            "expected where the other router is found: a host and its port, or a path with a slash"
        )
    return text


def _directory(text: str) -> str:
    if not text.startswith("/") or not text.strip("/"):
        raise ValueError("expected the absolute path of a directory below /")
    return text


SIGN_CHECK = Kind("DIGEST:DIRECTORY", _sign_check)
SKIPPED_UID = Kind("USER", _skipped_uid)
NETWORK = Kind("NETWORK", _network)
TENANT = Kind("uid=USER,keys=PATTERN,…", _tenant)
SERVER = Kind("ADDRESS", _server)
DIRECTORY_BELOW = Kind("DIRECTORY", _directory)

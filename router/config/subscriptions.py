"""Options that decide who may announce what: uWSGI's ``subscriptions-…`` and ours.

Also what is passed on to other routers, and what is kept. Source: uWSGI: core/uwsgi.c, core/subscription.c.
Defaults are those of ``router.config.SubscriptionConfig``.
"""

import ipaddress
import pwd
from collections.abc import Callable

from uwsgi_router.protocol.address import (
    AddressError,
    InetAddress,
    parse_address,
    parse_datagram_address,
    parse_port,
)
from uwsgi_router.router.config import values
from uwsgi_router.router.config.option import Option
from uwsgi_router.router.config.values import SWITCH, Kind, integer, seconds
from uwsgi_router.subscriptions.credentials import OVERFLOW_UID
from uwsgi_router.subscriptions.permission import PortRange, Tenant
from uwsgi_router.subscriptions.signature import SignCheck, digest_name

GROUP = "who may announce"
ELSEWHERE = "other routers and other runs"

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
        keys=tuple(_parts("keys", given["keys"])),
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


def _works(
    name: str,
    shown: str,
    parse: Callable[[str], object],
    target: str,
    help_: str,
    *,
    repeatable: bool = False,
) -> Option:
    return _of_kind(name, Kind(shown, parse), target, help_, repeatable=repeatable)


def _of_kind(
    name: str,
    kind: Kind,
    target: str,
    help_: str,
    *,
    repeatable: bool = False,
    group: str = GROUP,
) -> Option:
    return Option(
        name=name,
        kind=kind,
        target=f"subscription.{target}",
        help=help_,
        group=group,
        repeatable=repeatable,
    )


def _server(text: str) -> str:
    """Read where another router listens to announces."""
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


_SERVER = Kind("ADDRESS", _server)

_WHO: tuple[Option, ...] = (
    _works(
        "subscriptions-sign-check",
        "DIGEST:DIRECTORY",
        _sign_check,
        "sign_check",
        "Announces must be signed; the key's public key is KEY.pem in this directory.",
    ),
    _of_kind(
        "subscriptions-sign-check-tolerance",
        seconds(zero=86_400.0),
        "sign_tolerance",
        "A signed announce may be so old (86400; 0 means 86400).",
    ),
    _works(
        "subscriptions-sign-skip-uid",
        "USER",
        _skipped_uid,
        "sign_skip_uids",
        "Processes of this user need not sign; over UNIX sockets, with subscriptions-use-credentials.",
        repeatable=True,
    ),
    _of_kind(
        "subscriptions-use-credentials",
        SWITCH,
        "use_credentials",
        "Only processes of this machine may announce, and each node belongs to its user; over UNIX sockets.",
    ),
    _of_kind(
        "subscriptions-credentials-check",
        values.DIRECTORY,
        "credentials_dirs",
        "User and group of a file named like the key in this directory must be the sender's.",
        repeatable=True,
    ),
    _works(
        "subscriptions-allow-from",
        "NETWORK",
        _network,
        "allow_from",
        "Take UDP announces only from this network; a source address can be forged, a signature can't.",
        repeatable=True,
    ),
    _of_kind(
        "subscriptions-own-address",
        SWITCH,
        "own_address",
        "Over UDP a sender may announce only nodes at its own address.",
    ),
    _works(
        "subscriptions-tenant",
        "uid=USER,keys=PATTERN,…",
        _tenant,
        "tenants",
        "What a user may announce over UNIX sockets; also nodes=/PATH/*|HOST:PORT-PORT, max-keys=N, max-nodes=N.",
        repeatable=True,
    ),
    _of_kind(
        "subscription-max-rate",
        integer("N", 0, 1_000_000),
        "max_rate",
        "Datagrams per second that one source may send in the long run; 0: any number (2000).",
    ),
    _of_kind(
        "subscription-chmod-socket",
        values.MODE,
        "chmod_socket",
        "Mode of subscription servers that are UNIX sockets; not given: by the umask, with tenants 666.",
    ),
)

_ELSEWHERE: tuple[Option, ...] = (
    _of_kind(
        "fastrouter-resubscribe",
        _SERVER,
        "resubscribe",
        "Announce this router to the subscription server of another one, as a node of each key that has nodes here.",
        repeatable=True,
        group=ELSEWHERE,
    ),
    _of_kind(
        "http-resubscribe",
        _SERVER,
        "resubscribe",
        "The same, in the words of the HTTP router: what is announced follows from the table, not from the router.",
        repeatable=True,
        group=ELSEWHERE,
    ),
    _of_kind(
        "fastrouter-resubscribe-bind",
        values.DATAGRAM,
        "resubscribe_bind",
        "Announce it from this address.",
        group=ELSEWHERE,
    ),
    _of_kind(
        "subscription-tee",
        _SERVER,
        "tee",
        "Send each accepted announce on to another subscription server, unchanged.",
        repeatable=True,
        group=ELSEWHERE,
    ),
    _of_kind(
        "sni-allow-dir",
        Kind("DIRECTORY", _directory),
        "sni_allow_dirs",
        "Take announced certificates (sni_key, sni_crt, sni_ca) from below this directory.",
        repeatable=True,
        group=ELSEWHERE,
    ),
    _of_kind(
        "subscription-state",
        values.FILE,
        "state",
        "Keep the table of nodes in this file, so that a restarted router knows them at once.",
        group=ELSEWHERE,
    ),
)

OPTIONS: tuple[Option, ...] = _WHO + _ELSEWHERE

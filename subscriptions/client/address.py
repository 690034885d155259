"""Announced address: checks that the router's machine can reach it, and ``auto:PORT``."""

import os
from collections.abc import Iterable
from typing import Final

from uwsgi_router.protocol.address import (
    AddressError,
    InetAddress,
    UnixAddress,
    parse_address,
    parse_port,
)
from uwsgi_router.protocol.scheme import NodeProto, split_scheme
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.servers import ServerAddress, is_loopback

_AUTO: Final = "auto"


def is_auto(address: str) -> bool:
    """Return True for ``auto:PORT``, which :func:`settle` makes an address."""
    return address.startswith(f"{_AUTO}:")


def check_address(text: str) -> tuple[str, NodeProto | None]:
    """Return the address as it will be announced, ``auto:PORT`` as it is, and the protocol that its scheme names.

    It is announced plain, for uWSGI's routers know no schemes. A relative path becomes absolute: the router has
    another working directory.

    Raises:
        SubscribeError: if nobody could reach a node there.
    """
    try:
        plain, proto = split_scheme(text)
    except AddressError as exc:
        raise SubscribeError(f"address {text!r}: {exc}") from None
    return _checked(plain), proto


def _checked(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if _AUTO in (host, text):
        try:
            return f"{_AUTO}:{parse_port(port if colon else '')}"
        except AddressError:
            raise SubscribeError(f"address {text!r}: auto needs a port: auto:8000") from None
    if not colon and "/" not in text and not text.startswith("@"):
        hint = f"HOST:{text} or {_AUTO}:{text}" if text.isdigit() else f"{text or 'HOST'}:8000"
        raise SubscribeError(
            f"address {text!r} has no port: write {hint}, or a UNIX socket with a slash"
        )
    try:
        address = parse_address(text)
    except AddressError as exc:
        raise SubscribeError(f"address {text!r}: {exc}") from None
    if isinstance(address, UnixAddress):
        return text if address.is_abstract else os.path.abspath(text)
    if address.is_every_interface:
        raise SubscribeError(
            f"address {text!r} is where to listen, not where others find it:"
            f" write auto:{address.port} or the machine's address"
        )
    return str(address)


def settle(text: str, targets: Iterable[ServerAddress]) -> str:
    """Make ``auto:PORT`` the local address on the route to the first target; return others as they are.

    Towards a UNIX socket the route is the loopback.

    Raises:
        SubscribeError: if there is no route.
    """
    if not is_auto(text):
        return text
    port = text.partition(":")[2]
    for target in targets:
        try:
            return str(InetAddress(target.local_address() or "127.0.0.1", int(port)))
        except OSError as exc:
            raise SubscribeError(
                f"address {text!r}: no route to {target}: {exc.strerror or exc}"
            ) from exc
    raise SubscribeError(f"address {text!r}: no server to ask the route to")


def needs_shared_file(text: str, target: ServerAddress) -> bool:
    """Return True if the router at ``target`` reaches this UNIX socket only through a shared directory."""
    return not isinstance(parse_address(text), InetAddress) and not target.is_this_machine()


def unreachable(text: str, target: ServerAddress) -> str | None:
    """Return why the router at ``target`` can't reach a node at this address, None if it may well."""
    address = parse_address(text)
    if not isinstance(address, InetAddress) or not is_loopback(address.host):
        return None
    if target.is_this_machine():
        return None
    return (
        f"the address {text} can't be reached from {target}, another machine:"
        f" write auto:{address.port} or this machine's address"
    )

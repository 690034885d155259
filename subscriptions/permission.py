"""Permissions of senders apart from signatures: tenants, networks, own addresses, modifiers."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from uwsgi_router.protocol.address import Address, InetAddress, UnixAddress
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.subscriptions.credentials import socket_owner
from uwsgi_router.subscriptions.node_address import ip_of
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.sender import Sender

Network = IPv4Network | IPv6Network

#: What requests with these modifiers do in a uWSGI instance. A node decides what requests to it
#: carry, so whoever announced one could have them run code or touch caches.
FORBIDDEN_MODIFIERS: Final = {
    22: "runs code",
    110: "raises signals",
    111: "reads and writes caches",
    173: "calls functions",
}


@dataclass(frozen=True, slots=True)
class PortRange:
    """Range of ports of one host that a tenant may announce.

    Attributes:
        host: an IP address, or a name, which has to be announced just so.
        first: the lowest port.
        last: the highest.
    """

    host: str
    first: int
    last: int

    def __contains__(self, address: InetAddress) -> bool:
        if not self.first <= address.port <= self.last:
            return False
        mine, announced = ip_of(self.host), ip_of(address.host)
        if mine is not None or announced is not None:
            return mine == announced
        return self.host.lower() == address.host.lower()


@dataclass(frozen=True, slots=True)
class Tenant:
    """Tenant: a user of this machine and what they may announce (``subscriptions-tenant``).

    Attributes:
        uid: whose datagrams these are, and whose UNIX sockets.
        name: as configured.
        keys: patterns, ``*`` for any characters but a slash. Without a slash in it a pattern is
            about the host: with or without port, with any path of it (mountpoints).
        paths: patterns of UNIX sockets, ``*`` for any characters; empty: any socket of the user's.
        ports: TCP addresses; without any there are none.
        max_keys: keys that they may have at once.
        max_nodes: nodes that they may have at once.
    """

    uid: int
    name: str
    keys: tuple[bytes, ...]
    paths: tuple[bytes, ...] = ()
    ports: tuple[PortRange, ...] = ()
    max_keys: int = 100
    max_nodes: int = 1_000

    def check(self, subscription: Subscription, address: Address) -> None:
        """Check that an announce is within the tenant's rights.

        Raises:
            Refused: with what is not.
        """
        key = subscription.key
        if not any(key_matches(pattern, key) for pattern in self.keys):
            raise Refused("tenant", f"the key {key!r} is not one of {self.name}'s")
        if isinstance(address, InetAddress):
            if not any(address in ports for ports in self.ports):
                raise Refused("tenant", f"the address {address} is not one of {self.name}'s")
            return
        self._check_socket(address, leaving=subscription.command == "unsubscribe")

    def _check_socket(self, address: UnixAddress, *, leaving: bool) -> None:
        path = address.path
        if address.is_abstract:
            raise Refused("tenant", f"{address} belongs to nobody: tenants need a socket file")
        if not path.startswith(b"/") or os.path.normpath(path) != path:
            raise Refused("tenant", f"{address} is not a plain absolute path, as tenants' must be")
        if self.paths and not any(fnmatchcase(path, pattern) for pattern in self.paths):
            raise Refused("tenant", f"the address {address} is not one of {self.name}'s")
        # Whoever leaves may have removed it. Links are followed here, and when somebody connects
        # the owner of what is there then is looked at again.
        if not leaving and socket_owner(path) != self.uid:
            raise Refused("tenant", f"{address} is not a socket of {self.name}'s")


def key_matches(pattern: bytes, key: bytes) -> bool:
    """Return True if a tenant's pattern covers a key (see :class:`Tenant`)."""
    if b"/" in pattern:
        wanted, parts = pattern.split(b"/"), key.split(b"/")
        return len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted))
    host = key.partition(b"/")[0]
    name, colon, port = host.rpartition(b":")
    if colon and not port.isdigit() and not host.endswith(b"]"):
        return False
    return fnmatchcase(host, pattern) or (bool(colon) and fnmatchcase(name, pattern))


def check_network(networks: Sequence[Network], sender: Sender) -> None:
    """Check that a datagram came over a UNIX socket or from one of ``networks``.

    Raises:
        Refused: from elsewhere.
    """
    if sender.source is None:
        return
    ip = sender.ip
    if ip is None or not any(ip in network for network in networks):
        raise Refused("network", "subscriptions-allow-from does not name this sender's network")


def check_modifiers(subscription: Subscription) -> None:
    """Check that the modifiers of a node let requests to it be requests.

    Raises:
        Refused: with what they would do.
    """
    effect = FORBIDDEN_MODIFIERS.get(subscription.modifier1)
    if effect is not None and subscription.command == "subscribe":
        raise Refused(
            "modifier", f"modifier1 {subscription.modifier1} {effect}, so no node may announce it"
        )


def check_own_address(address: Address, sender: Sender) -> None:
    """Check that a node is where its datagram came from.

    A path is on this machine; senders on the loopback are too, and may use any address of it.

    Raises:
        Refused: if it is elsewhere, or might be.
    """
    ip = sender.ip
    if ip is None:
        return
    here = ip.is_loopback
    if isinstance(address, UnixAddress):
        if not here:
            raise Refused("own-address", f"{address} is not an address of the sender's")
        return
    announced = ip_of(address.host)
    if announced is None:
        raise Refused("own-address", f"{address} is a name: announce the address itself, or sign")
    if announced != ip and not (here and announced.is_loopback):
        raise Refused("own-address", f"{address} is not an address of the sender's")

"""Lanes of a subscription server on UDP: a second socket for the datagrams of known senders, with a buffer of its own.

Both sockets have the same address; the kernel asks a program which of them gets a datagram. So a flood fills only its
own lane.
"""

import socket
import struct
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.net.packet_filter import (
    MOST,
    SO_ATTACH_FILTER,
    SO_ATTACH_REUSEPORT_CBPF,
    Network,
    attach,
    by_source,
    only_to_us,
)

_COMMON: Final = 0
_KNOWN: Final = 1
# SO_MEMINFO, and the place of the number of dropped datagrams in it.
_SO_MEMINFO: Final = 55
_DROPS: Final = 8


def second_lane(bound: BoundSocket) -> socket.socket | None:
    """Return a second socket at the address of a UDP socket; None where there can be none.

    That is: for UNIX sockets and multicast groups, of whose datagrams each socket gets a copy; and if the socket was
    opened by another user, as which the kernel lets nobody join.
    """
    first = bound.sock
    if first.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    address = first.getsockname()
    if ip_network(address[0].partition("%")[0]).is_multicast:
        return None
    second = socket.socket(first.family, first.type)
    try:
        second.setblocking(False)
        if first.family == socket.AF_INET6:
            only = first.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            second.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        size = first.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        # The kernel doubles what it is told.
        second.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size // 2)
        # The first one was bound without it: an address in use is still noticed at the start.
        for one in (first, second):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        second.bind(address)
        attach(second, SO_ATTACH_FILTER, only_to_us())
        steer(first, ())
    except OSError:
        second.close()
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        return None
    return second


def steer(first: socket.socket, known: Iterable[Network]) -> None:
    """Give the datagrams of these networks to the second lane.

    Raises:
        OSError: there is none.
    """
    attach(first, SO_ATTACH_REUSEPORT_CBPF, by_source(known, _KNOWN, _COMMON))


def summed_up(addresses: Iterable[str]) -> list[Network]:
    """Return a program's networks: of each address, or if these are too many, of their surroundings; or none."""
    for v4, v6 in ((32, 64), (24, 48), (16, 32)):
        networks = {_around(address, v4, v6) for address in addresses}
        if len(networks) <= MOST:
            return sorted(networks, key=lambda one: (one.version, int(one.network_address)))
    return []


def _around(address: str, v4: int, v6: int) -> Network:
    plain = ip_network(address.partition("%")[0])
    return plain.supernet(new_prefix=v4 if plain.version == 4 else v6)


def dropped(sock: socket.socket) -> int:
    """Return how many datagrams the kernel had no room for, since the socket was made; 0 if it does not tell."""
    try:
        told = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
    except OSError:
        return 0
    numbers = struct.unpack(f"{len(told) // 4}I", told)
    return numbers[_DROPS] if len(numbers) > _DROPS else 0

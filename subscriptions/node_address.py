"""Node address: name and address of an announced node, and IP addresses in one normal form."""

import ipaddress
from functools import lru_cache

from uwsgi_router.protocol.address import Address, InetAddress, parse_node_address

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=4096)
def node_address(announced: str, source: str | None) -> tuple[str, Address]:
    """Return name and address of an announced node.

    ``:3031``, ``0.0.0.0:3031`` and ``[::]:3031`` say where it listens; it can be reached where its
    datagram came from. The name says so too, for two hosts that announce ``:3031`` are two nodes.

    Args:
        announced: an address that a :class:`uwsgi_router.protocol.subscription.Subscription` has accepted.
        source: the IP address that its datagram came from, None if it came over a UNIX socket.
    """
    address = parse_node_address(announced)
    if isinstance(address, InetAddress):
        if not address.is_every_interface:
            return announced, address
        address = InetAddress(source or "127.0.0.1", address.port)
    elif not announced.startswith("\0"):
        return announced, address
    return str(address), address


@lru_cache(maxsize=4096)
def ip_of(host: str) -> IPAddress | None:
    """Read a literal IP address, to compare it with others; None for names.

    An IPv4 address in IPv6 form is the IPv4 address; the interface of a link-local one is left out.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address

"""Reach of a cache socket: this machine, or others too."""

import ipaddress

from uwsgi_router.protocol.address import InetAddress, parse_address


def is_local(text: str) -> bool:
    """Return True if only programs of this machine can connect to ``text``."""
    address = parse_address(text, allow_port_zero=True)
    if not isinstance(address, InetAddress) or address.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return False


def not_local(text: str) -> str:
    """Say why ``text`` is refused, and what to do."""
    return (
        f"cache-socket = {text}: other machines could reach it, and whoever does decides where requests go; give a UNIX"
        " socket or a loopback address, or add cache-socket-public = true"
    )

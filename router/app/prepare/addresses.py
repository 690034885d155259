"""Addresses of a configuration: two that can't be listened on at once, nodes that are the router, what needs rights."""

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.address import (
    Address,
    AddressError,
    InetAddress,
    UnixAddress,
    parse_datagram_address,
    parse_listen_address,
)
from uwsgi_router.protocol.named_node import parse_node
from uwsgi_router.router.config import jails_checks
from uwsgi_router.router.config.model import Configuration, HttpRouterConfig
from uwsgi_router.router.net.own import is_this_machine

_UNPRIVILEGED: Final = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
_CAP_NET_BIND_SERVICE: Final = 10
_CAP_NET_ADMIN: Final = 12


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An address that is to be listened on.

    Attributes:
        option: that names it.
        text: as configured.
        address: what that means.
        stream: TCP or a UNIX stream socket; else UDP or a UNIX datagram socket.
    """

    option: str
    text: str
    address: Address
    stream: bool

    @property
    def shown(self) -> str:
        """The setting, as in a file."""
        return f"{self.option} = {self.text}"

    def clashes(self, other: "ListenAddress") -> bool:
        """Return True if both can't be listened on at once."""
        one, two = self.address, other.address
        if isinstance(one, UnixAddress) or isinstance(two, UnixAddress):
            return _same_file(one, two)
        if self.stream != other.stream or not one.port or one.port != two.port:
            return False
        if one.is_every_interface or two.is_every_interface:
            wide, narrow = (one, two) if one.is_every_interface else (two, one)
            # [::] is every interface of both families.
            return ":" in wide.host or ":" not in narrow.host
        return _host(one.host) == _host(two.host)

    def shares_port_with(self, other: "ListenAddress") -> bool:
        """Return True if the kernel may spread connections over both, with SO_REUSEPORT: they serve the same."""
        inet = isinstance(self.address, InetAddress)
        return inet and self.stream and self.option == other.option


def listeners(configuration: Configuration) -> Iterator[ListenAddress]:
    """Yield every address that is listened on; inherited and shared sockets are named by others."""
    process = configuration.process
    streams = [("shared-socket", text) for text in process.shared_sockets]
    streams += [("cache-socket", text) for text in process.cache_sockets]
    if process.control_socket is not None:
        streams.append(("control-socket", process.control_socket))
    streams += jails_checks.listeners(configuration.forkpty)
    streams += [("forkptyrouter-stats", text) for text in configuration.forkpty.stats]
    streams += jails_checks.tuntap_listeners(configuration.tuntap)
    datagrams: list[tuple[str, str]] = []
    for router in configuration.routers:
        streams += [(router.kind, text) for text in router.listen]
        streams += [(one.option, one.listen) for one in router.secured]
        if isinstance(router, HttpRouterConfig):
            streams += [("http-to-https", redirect.listen) for redirect in router.redirects]
        streams += [(f"{router.kind}-stats", text) for text in router.stats]
        datagrams += [
            (f"{router.kind}-subscription-server", text) for text in router.subscription_servers
        ]
    for option, text in streams:
        address = parse_listen_address(text)
        if isinstance(address, InetAddress | UnixAddress):
            yield ListenAddress(option, text, address, stream=True)
    # Routers that name the same subscription server share it.
    shared = {text: option for option, text in reversed(datagrams)}
    for text, option in shared.items():
        yield ListenAddress(option, text, parse_datagram_address(text), stream=False)


def conflicts(configuration: Configuration) -> list[str]:
    """Return a line for each address that another one, named before, takes already."""
    shares = configuration.process.reuse_port
    seen: list[ListenAddress] = []
    found = []
    for listener in listeners(configuration):
        before = next((one for one in seen if one.clashes(listener)), None)
        if before is None:
            seen.append(listener)
        elif shares and listener.shares_port_with(before):
            continue
        elif before.text == listener.text and before.option == listener.option:
            found.append(f"{listener.shown}: it is given twice")
        else:
            found.append(f"{listener.shown}: {before.shown} listens there already")
    return found


def own_nodes(configuration: Configuration) -> list[str]:
    """Return a line for each configured node that is a router of this configuration: requests would go in circles."""
    streams = [one for one in listeners(configuration) if one.stream]
    found = []
    for router in configuration.routers:
        nodes = [(f"{router.kind}-to", text) for text in router.to]
        nodes += [(f"{router.kind}-fallback", text) for text in router.fallback]
        for option, text in nodes:
            try:
                node = parse_node(text).address
            except AddressError:
                continue
            for listener in streams:
                if _leads_to(node, listener.address):
                    found.append(f"{option} = {text}: {listener.shown} is this router itself")
                    break
    return found


def privileged_ports(configuration: Configuration) -> list[str]:
    """Return a line for each port that only root, or a process with the capability for it, may listen on."""
    if os.geteuid() == 0 or _may(_CAP_NET_BIND_SERVICE):
        return []
    try:
        with open(_UNPRIVILEGED, encoding="ascii") as file:
            first = int(file.read())
    except (OSError, ValueError):
        first = 1024
    return [
        f"{one.shown}: ports below {first} need root, or the capability CAP_NET_BIND_SERVICE"
        for one in listeners(configuration)
        if isinstance(one.address, InetAddress) and 0 < one.address.port < first
    ]


def devices(configuration: Configuration) -> list[str]:
    """Return a line for each TUN device, if only root, or a process with the capability for it, may have one."""
    tuntap = configuration.tuntap
    if os.geteuid() == 0 or _may(_CAP_NET_ADMIN):
        return []
    named = [("tuntap-router", one.device) for one in tuntap.routers]
    named += [("tuntap-device", one.device) for one in tuntap.devices]
    return [
        f"{option}: the TUN device {name} needs root, or the capability CAP_NET_ADMIN"
        for option, name in named
    ]


def _may(capability: int) -> bool:
    """Return True if this process has a capability."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("CapEff:"):
                    return bool(int(line.split()[1], 16) >> capability & 1)
    except (OSError, ValueError, IndexError):
        pass
    return False


def _same_file(one: Address, two: Address) -> bool:
    if not (isinstance(one, UnixAddress) and isinstance(two, UnixAddress)):
        return False
    return os.path.abspath(one.path) == os.path.abspath(two.path)


def _leads_to(node: Address, listener: Address) -> bool:
    if isinstance(node, UnixAddress) or isinstance(listener, UnixAddress):
        return _same_file(node, listener)
    if not listener.port or node.port != listener.port:
        return False
    if listener.is_every_interface:
        return is_this_machine(node)
    return _host(node.host) == _host(listener.host)


def _host(text: str) -> str:
    """Return a host in one spelling."""
    if text.lower().removesuffix(".") == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text.lower().removesuffix(".")

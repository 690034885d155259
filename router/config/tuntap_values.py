"""Readers of the tuntap router's options: routers, devices, rules of its firewall, routes, rules of devices.

Where uWSGI guesses (any word but ``deny`` allows, /33 is a mask of one bit), a mistake is an error here.
"""

import ipaddress
import shlex
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.tuntap import ALLOW, DENY, GATEWAY, IN, OUT, DeviceRule
from uwsgi_router.router.config.values import LISTEN, STATS, Argument, Kind, switch_or

_ACTIONS: Final = {"allow": True, "deny": False}
_DIRECTIONS: Final = {"in": IN, "out": OUT}
_DEVICE_ACTIONS: Final = {"allow": ALLOW, "deny": DENY, "route": GATEWAY, "gateway": GATEWAY}
_NOWHERE: Final = ("0.0.0.0", 0)
_LONGEST_NAME: Final = 15


@dataclass(frozen=True, slots=True)
class Network:
    """Network of either family.

    Attributes:
        size: bytes of its addresses: 4 or 16.
        value: its address as a number.
        mask: the bits of it that count.
    """

    size: int
    value: int
    mask: int

    def has(self, address: bytes) -> bool:
        """Return True if an address belongs to it."""
        if len(address) != self.size:
            return False
        return int.from_bytes(address, "big") & self.mask == self.value


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """Rule about packets; a network that is None is any address of either family."""

    allow: bool
    src: Network | None
    dst: Network | None

    def matches(self, src: bytes, dst: bytes) -> bool:
        """Return True if it is about packets between these addresses."""
        return (self.src is None or self.src.has(src)) and (self.dst is None or self.dst.has(dst))


@dataclass(frozen=True, slots=True)
class TunRoute:
    """Route: packets between these networks leave over UDP, to another router's gateway."""

    src: Network | None
    dst: Network | None
    target: tuple[str, int]

    def matches(self, src: bytes, dst: bytes) -> bool:
        """Return True if it is about packets between these addresses."""
        return (self.src is None or self.src.has(src)) and (self.dst is None or self.dst.has(dst))


@dataclass(frozen=True, slots=True)
class TunRouterConfig:
    """One tuntap router.

    Attributes:
        device: name of its TUN device.
        socket: path that devices connect to.
        stats: address of its statistics.
        gateway: UDP address that takes packets from other routers.
    """

    device: str
    socket: str
    stats: str | None = None
    gateway: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class TunDeviceConfig:
    """One device of a vassal; without a socket it is only made."""

    device: str
    socket: str | None = None


# --- from text ---


def parse_firewall_rule(text: str) -> FirewallRule:
    """Read ``ACTION`` or ``ACTION SRC[/LEN] DST[/LEN]``.

    Raises:
        ValueError: with what was expected.
    """
    words = text.split()
    if len(words) not in (1, 3) or words[0] not in _ACTIONS:
        raise ValueError("expected allow or deny, alone or with SRC[/LEN] DST[/LEN]")
    src, dst = _pair(words[1], words[2]) if len(words) == 3 else (None, None)
    return FirewallRule(_ACTIONS[words[0]], src, dst)


def parse_tun_route(text: str) -> TunRoute:
    """Read ``SRC[/LEN] DST[/LEN] ADDRESS:PORT``.

    Raises:
        ValueError: with what was expected.
    """
    words = text.split()
    if len(words) != 3:
        raise ValueError("expected SRC[/LEN] DST[/LEN] ADDRESS:PORT")
    src, dst = _pair(words[0], words[1])
    return TunRoute(src, dst, parse_udp(words[2]))


def parse_udp(text: str) -> tuple[str, int]:
    """Read an IPv4 address with a port.

    Raises:
        ValueError: with what was expected.
    """
    host, _, port = text.rpartition(":")
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        raise ValueError(
            f"expected an IPv4 address and a port, as 10.0.0.1:4040, not {text}"
        ) from None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536):
        raise ValueError(f"expected a port from 1 to 65535 behind {host}")
    return host, int(port)


def parse_network(text: str) -> Network | None:
    """Read ``ADDRESS[/LEN]``; bits behind the length don't count, and 0.0.0.0 is any address.

    Raises:
        ValueError: with what was expected.
    """
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"expected an address, or a network as 10.0.0.0/8 or fd00::/64, not {text}"
        ) from None
    if "." in text.partition("/")[2]:
        raise ValueError(f"expected the length of the network behind the slash, not {text}")
    value = int(network.network_address)
    if text.partition("/")[0] == "0.0.0.0":
        return None
    if network.version == 4:
        return Network(4, value, int(network.netmask))
    # "::" is any address of its family, as "::/0".
    whole = int(ipaddress.ip_address(text.partition("/")[0])) == 0
    return Network(16, value, 0 if whole else int(network.netmask))


def _pair(src: str, dst: str) -> tuple[Network | None, Network | None]:
    one, two = parse_network(src), parse_network(dst)
    if one is not None and two is not None and one.size != two.size:
        raise ValueError(f"expected two addresses of one family, not {src} and {dst}")
    return one, two


def parse_device_rule(text: str) -> DeviceRule:
    """Read ``in|out SRC[/LEN] DST[/LEN] allow|deny|gateway [ADDRESS:PORT]``.

    Raises:
        ValueError: with what was expected.
    """
    expected = "expected in or out, SRC[/LEN], DST[/LEN], then allow, deny or gateway ADDRESS:PORT"
    words = text.split()
    if len(words) not in (4, 5) or words[0] not in _DIRECTIONS or words[3] not in _DEVICE_ACTIONS:
        raise ValueError(expected)
    action = _DEVICE_ACTIONS[words[3]]
    if (action == GATEWAY) != (len(words) == 5):
        raise ValueError(expected)
    src, src_mask = _numbers(words[1])
    dst, dst_mask = _numbers(words[2])
    target = parse_udp(words[4]) if len(words) == 5 else _NOWHERE
    return DeviceRule(_DIRECTIONS[words[0]], src, src_mask, dst, dst_mask, action, target)


def _numbers(text: str) -> tuple[int, int]:
    network: Network | None = parse_network(text)
    if network is None:
        return 0, 0
    if network.size != 4:
        raise ValueError(
            f"expected an IPv4 network, which is all that devices can tell, not {text}"
        )
    return network.value, network.mask


def _tun_router(text: str) -> TunRouterConfig:
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not 2 <= len(words) <= 4:
        raise ValueError("expected DEVICE SOCKET [STATS] [GATEWAY]")
    stats = str(STATS.parse(words[2])) if len(words) > 2 else None
    gateway = parse_udp(words[3]) if len(words) > 3 else None
    return TunRouterConfig(_device_name(words[0]), _socket_path(words[1]), stats, gateway)


def _tun_device(text: str) -> TunDeviceConfig:
    words = text.split()
    if not 1 <= len(words) <= 2:
        raise ValueError("expected DEVICE [SOCKET]")
    return TunDeviceConfig(
        _device_name(words[0]), _socket_path(words[1]) if len(words) > 1 else None
    )


def _device_name(text: str) -> str:
    if not 0 < len(text.encode()) <= _LONGEST_NAME or "/" in text or not text.isprintable():
        raise ValueError(f"expected a device of 1 to {_LONGEST_NAME} bytes, not {text}")
    return text


def _socket_path(text: str) -> str:
    LISTEN.parse(text)
    if ":" in text and not text.startswith(("/", "@")):
        raise ValueError(f"expected the path of a UNIX socket, not {text}")
    return text


def _no_function(text: str) -> bool:
    raise ValueError(
        f"expected true, false or nothing: no function {text} can be had that gives addresses to users"
    )


TUN_ROUTER: Final = Kind("DEVICE SOCKET [STATS] [GATEWAY]", _tun_router)
TUN_DEVICE: Final = Kind("DEVICE [SOCKET]", _tun_device)
FIREWALL_RULE: Final = Kind("allow|deny [SRC DST]", parse_firewall_rule)
TUN_ROUTE: Final = Kind("SRC DST ADDRESS:PORT", parse_tun_route)
DEVICE_RULE: Final = Kind("in|out SRC DST ACTION [TARGET]", parse_device_rule)
CREDENTIALS: Final = switch_or(
    Kind("true|false", _no_function, Argument.OPTIONAL), on=True, off=False
)

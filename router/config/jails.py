"""Configuration of the routers for jails, and of their clients: terminals (forkpty), networks (tuntap)."""

from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.tuntap import DeviceRule
from uwsgi_router.router.config import values
from uwsgi_router.router.config.option import Provenance, option, switch
from uwsgi_router.router.config.tuntap_values import (
    CREDENTIALS,
    DEVICE_RULE,
    FIREWALL_RULE,
    TUN_DEVICE,
    TUN_ROUTE,
    TUN_ROUTER,
    FirewallRule,
    TunDeviceConfig,
    TunRoute,
    TunRouterConfig,
)
from uwsgi_router.router.config.values import SECONDS, TEXT, integer

FORKPTY: Final = "forkpty router"
PTY: Final = "pty client"
TUNTAP: Final = "tuntap router"
_OURS: Final = Provenance.OURS
_LISTENERS: Final = ("listen", "listen_packets")


@dataclass(frozen=True, slots=True)
class ForkptyConfig:
    """The forkpty router."""

    listen: tuple[str, ...] = option(
        "forkptyrouter",
        values.LISTEN,
        "Listen here; each client gets a terminal, and its bytes are input.",
        default=(),
        aliases=("forkpty-router",),
        repeatable=True,
    )
    listen_packets: tuple[str, ...] = option(
        "forkptyurouter",
        values.LISTEN,
        "Listen here; each client gets a terminal, and sends packets: input, window size, signals.",
        default=(),
        aliases=("forkpty-urouter",),
        repeatable=True,
    )
    command: str | None = option(
        "forkptyrouter-command",
        TEXT,
        "Program of each terminal: a path, or with a blank in it a line for /bin/sh.",
        default=None,
        aliases=("forkpty-router-command", "forkptyrouter-cmd", "forkpty-router-cmd"),
        shown="/bin/sh",
        needs=_LISTENERS,
    )
    rows: int = option(
        "forkptyrouter-rows",
        integer("N", 1, 65_535, zero=24),
        "Height of the window, until the client says another.",
        default=24,
        needs=_LISTENERS,
    )
    cols: int = option(
        "forkptyrouter-cols",
        integer("N", 1, 65_535, zero=80),
        "Width of the window, until the client says another.",
        default=80,
        needs=_LISTENERS,
    )
    timeout: float = option(
        "forkptyrouter-timeout",
        SECONDS,
        "End a session when neither side has said anything for so long.",
        default=60.0,
        needs=_LISTENERS,
    )
    allow_uids: tuple[str, ...] = option(
        "forkptyrouter-allow-uid",
        values.USER,
        "Let this user connect over UNIX sockets, beside root and the router's own.",
        default=(),
        repeatable=True,
        origin=_OURS,
        needs=_LISTENERS,
    )
    allow_tcp: bool = switch(
        "forkptyrouter-allow-tcp",
        "Let forkptyrouter listen on TCP: whoever reaches it has a terminal.",
        origin=_OURS,
        needs=_LISTENERS,
    )
    max_sessions: int = option(
        "forkptyrouter-max-sessions",
        integer("N", 1, 100_000),
        "Terminals at once; further clients wait in the backlog.",
        default=1000,
        origin=_OURS,
        needs=_LISTENERS,
    )
    stats: tuple[str, ...] = option(
        "forkptyrouter-stats",
        values.STATS,
        "Serve statistics here, as JSON.",
        default=(),
        aliases=("forkptyrouter-stats-server", "forkptyrouter-ss"),
        repeatable=True,
        needs=_LISTENERS,
    )

    @property
    def listens(self) -> bool:
        """True if it has an address."""
        return bool(self.listen or self.listen_packets)


@dataclass(frozen=True, slots=True)
class PtyConfig:
    """The client of a forkpty router, which runs in place of everything else."""

    connect: str | None = option(
        "pty-connect",
        values.NODE,
        "Connect this terminal to a forkptyrouter, and do nothing else.",
        default=None,
    )
    connect_packets: str | None = option(
        "pty-uconnect",
        values.NODE,
        "Connect this terminal to a forkptyurouter, and do nothing else.",
        default=None,
    )


@dataclass(frozen=True, slots=True)
class TunTapConfig:
    """The tuntap routers, and the devices of a vassal."""

    routers: tuple[TunRouterConfig, ...] = option(
        "tuntap-router",
        TUN_ROUTER,
        "Move IP packets between this TUN device and the vassals' devices that connect to the UNIX socket.",
        default=(),
        repeatable=True,
    )
    stats: str | None = option(
        "tuntap-router-stats",
        values.STATS,
        "Serve statistics here, as JSON, unless the router names another address.",
        default=None,
        needs=("routers",),
    )
    firewall_in: tuple[FirewallRule, ...] = option(
        "tuntap-router-firewall-in",
        FIREWALL_RULE,
        "Rule for packets to vassals; the first one that matches decides, without one they pass.",
        default=(),
        repeatable=True,
        needs=("routers",),
    )
    firewall_out: tuple[FirewallRule, ...] = option(
        "tuntap-router-firewall-out",
        FIREWALL_RULE,
        "Rule for packets from vassals; the first one that matches decides, without one they pass.",
        default=(),
        repeatable=True,
        needs=("routers",),
    )
    routes: tuple[TunRoute, ...] = option(
        "tuntap-router-route",
        TUN_ROUTE,
        "Send such packets of vassals over UDP to another router's gateway; needs a gateway.",
        default=(),
        repeatable=True,
        needs=("routers",),
    )
    allow_spoof: bool = switch(
        "tuntap-router-allow-spoof",
        "Let vassals send packets from other addresses than the one that they began with.",
        origin=_OURS,
        needs=("routers",),
    )
    use_credentials: bool = option(
        "tuntap-use-credentials",
        CREDENTIALS,
        "Devices begin with their credentials, and the router insists on that.",
        default=False,
        shown="",
        needs=("routers", "devices"),
    )
    devices: tuple[TunDeviceConfig, ...] = option(
        "tuntap-device",
        TUN_DEVICE,
        "Have this TUN device, and connect it to the tuntap router at the socket.",
        default=(),
        repeatable=True,
    )
    device_rules: tuple[DeviceRule, ...] = option(
        "tuntap-device-rule",
        DEVICE_RULE,
        "Rule that the devices tell their router about their packets: allow, deny, gateway.",
        default=(),
        repeatable=True,
        needs=("devices",),
    )

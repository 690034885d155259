"""Peer of the tuntap router: one device's connection, its addresses, rules and counters."""

import socket

from uwsgi_router.protocol.tuntap import DeviceRule, decode_rules
from uwsgi_router.router.jails.tuntap.stream import FrameStream
from uwsgi_router.subscriptions.sender import Credentials


class TunPeer:
    """One connected device.

    Attributes:
        stream: its frames.
        credentials: whose connection it is; None: the kernel does not tell.
        greeted: it has sent what has to come before packets.
        ipv4: its address, b"" until it is known.
        ipv6: likewise.
        rules: that it has sent about its own packets.
        malformed: its packets that are none.
        firewall: those that the firewall refused.
        local: those from addresses that no single host beyond the link has.
        spoofed: those from other addresses than its own.
        collision: those from an address that another peer has.
        refused: those that its own rules refused, in either direction.
        tun: those that the TUN device did not take.
    """

    def __init__(
        self, sock: socket.SocketType, credentials: Credentials | None, *, greeted: bool
    ) -> None:
        self.stream = FrameStream(sock)
        self.credentials = credentials
        self.greeted = greeted
        self.ipv4 = b""
        self.ipv6 = b""
        self.rules: list[DeviceRule] = []
        self.malformed = 0
        self.firewall = 0
        self.local = 0
        self.spoofed = 0
        self.collision = 0
        self.refused = 0
        self.tun = 0

    def take_rules(self) -> None:
        """Obey the table of rules that came last, if one came.

        Raises:
            FrameError: it has too many.
        """
        table = self.stream.reader.rules
        if table is not None:
            self.stream.reader.rules = None
            self.rules = decode_rules(table)

    def rule_for(self, direction: int, src: bytes, dst: bytes) -> DeviceRule | None:
        """Return the first of its rules that is about packets between these IPv4 addresses."""
        source = int.from_bytes(src, "big")
        destination = int.from_bytes(dst, "big")
        for rule in self.rules:
            if rule.direction == direction and rule.matches(source, destination):
                return rule
        return None

    def same_owner(self, other: "TunPeer") -> bool:
        """Return True if both connections are the same user's and group's, as far as the kernel tells."""
        one, two = self.credentials, other.credentials
        if one is None or two is None:
            return False
        return one.uid == two.uid and one.gid == two.gid

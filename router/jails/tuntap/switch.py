"""Switch of the tuntap router: which packet goes where, from TUN, gateway and peers; addresses are learned and pinned.

It makes no system call but the read or write of a packet; connections, loops and the log are its server's.
"""

import os
import socket
from collections.abc import Callable, Sequence
from typing import Final

from uwsgi_router.protocol.ip import destination_of, is_host, source_of, version_of
from uwsgi_router.protocol.tuntap import ALLOW, GATEWAY, IN, OUT
from uwsgi_router.router.config.tuntap_values import TunRoute
from uwsgi_router.router.jails.tuntap.firewall import Firewall
from uwsgi_router.router.jails.tuntap.peer import TunPeer

# A packet longer than a frame is read whole, and dropped.
_PACKET: Final = 65_535
# Packets of one turn: others have theirs in between.
_BATCH: Final = 128


class TunSwitch:
    """Switch between a TUN device and its peers.

    Args:
        tun: descriptor of the device, non-blocking.
        inward: the firewall for what goes to peers.
        outward: the firewall for what comes from peers.
        routes: that packets leave by over the gateway.
        gateway: UDP socket, non-blocking; None: there is none.
        spoofing: peers may send from any address.
        replaced: called with a peer whose address its owner's new connection has taken.

    Attributes:
        by_address: the peers whose address is known.
        unknown: packets to nobody here.
        inward_refused: packets to peers that the firewall refused.
    """

    def __init__(
        self,
        tun: int,
        inward: Firewall,
        outward: Firewall,
        routes: Sequence[TunRoute],
        gateway: socket.socket | None,
        *,
        spoofing: bool,
        replaced: Callable[[TunPeer], None],
    ) -> None:
        self._tun = tun
        self._inward = inward
        self._outward = outward
        self._routes = list(routes)
        self._gateway = gateway
        self._spoofing = spoofing
        self._replaced = replaced
        self.by_address: dict[bytes, TunPeer] = {}
        self.unknown = 0
        self.inward_refused = 0

    # --- to peers ---

    def read_tun(self) -> list[TunPeer]:
        """Queue the packets that the kernel has for peers; return the peers that got some.

        Raises:
            OSError: the device is broken.
        """
        touched: dict[TunPeer, None] = {}
        for _ in range(_BATCH):
            try:
                packet = os.read(self._tun, _PACKET)
            except BlockingIOError:
                break
            peer = self._deliver(packet)
            if peer is not None:
                touched[peer] = None
        return list(touched)

    def read_gateway(self) -> list[TunPeer]:
        """Queue the packets that other routers have sent; return the peers that got some."""
        gateway = self._gateway
        assert gateway is not None
        touched: dict[TunPeer, None] = {}
        for _ in range(_BATCH):
            try:
                packet = gateway.recv(_PACKET)
            except OSError:
                # Also what ICMP says of what was sent before.
                break
            peer = self._deliver(packet)
            if peer is not None:
                touched[peer] = None
        return list(touched)

    def _deliver(self, packet: bytes) -> TunPeer | None:
        version = version_of(packet)
        if version == 0:
            self.unknown += 1
            return None
        dst = destination_of(packet, version)
        peer = self.by_address.get(dst)
        if peer is None:
            self.unknown += 1
            return None
        if self._inward.has_rules and not self._inward.allows(source_of(packet, version), dst):
            self.inward_refused += 1
            return None
        if version == 4 and peer.rules:
            rule = peer.rule_for(IN, source_of(packet, 4), dst)
            if rule is not None and rule.action != ALLOW:
                peer.refused += 1
                return None
        peer.stream.put(packet)
        return peer

    # --- from peers ---

    def forward(self, peer: TunPeer, packets: list[bytes]) -> None:
        """Send on what a peer has sent."""
        tun = self._tun
        for packet in packets:
            version = version_of(packet)
            if version == 0:
                peer.malformed += 1
                continue
            src = source_of(packet, version)
            if self._outward.has_rules and not self._outward.allows(
                src, destination_of(packet, version)
            ):
                peer.firewall += 1
                continue
            if src != (peer.ipv4 if version == 4 else peer.ipv6) and not self._learn(peer, src):
                continue
            if (peer.rules or self._routes) and self._leaves(peer, packet, version, src):
                continue
            try:
                os.write(tun, packet)
            except OSError:
                # EIO: the device is down. EINVAL: the kernel takes it for no packet.
                peer.tun += 1

    def _learn(self, peer: TunPeer, src: bytes) -> bool:
        """Take a source for the peer's address if it has none yet; return True if the packet may pass."""
        if not is_host(src):
            peer.local += 1
            return False
        known = peer.ipv4 if len(src) == 4 else peer.ipv6
        if known:
            if not self._spoofing:
                peer.spoofed += 1
            return self._spoofing
        other = self.by_address.get(src)
        if other is not None:
            if not peer.same_owner(other):
                peer.collision += 1
                return False
            self._replaced(other)
        if len(src) == 4:
            peer.ipv4 = src
        else:
            peer.ipv6 = src
        self.by_address[src] = peer
        return True

    def _leaves(self, peer: TunPeer, packet: bytes, version: int, src: bytes) -> bool:
        """Return True if a packet does not go to the TUN device: it was refused, or sent over the gateway."""
        dst = destination_of(packet, version)
        if version == 4 and peer.rules:
            rule = peer.rule_for(OUT, src, dst)
            if rule is not None and rule.action == GATEWAY:
                self._send(peer, packet, rule.target)
                return True
            if rule is not None and rule.action != ALLOW:
                peer.refused += 1
                return True
        if self._gateway is not None:
            for route in self._routes:
                if route.matches(src, dst):
                    self._send(peer, packet, route.target)
                    return True
        return False

    def _send(self, peer: TunPeer, packet: bytes, target: tuple[str, int]) -> None:
        gateway = self._gateway
        if gateway is None:
            peer.refused += 1
            return
        try:
            gateway.sendto(packet, target)
        except OSError:
            peer.tun += 1

    def forget(self, peer: TunPeer) -> None:
        """Forget the addresses of a peer that has left."""
        for address in (peer.ipv4, peer.ipv6):
            if address and self.by_address.get(address) is peer:
                del self.by_address[address]

"""tuntap router: accepts devices, moves packets between them and the TUN device, gateway of other routers."""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from uwsgi_router.protocol.tuntap import HELLO, FrameError
from uwsgi_router.router.config.model import TunTapConfig
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.jails.tuntap.firewall import Firewall
from uwsgi_router.router.jails.tuntap.peer import TunPeer
from uwsgi_router.router.jails.tuntap.switch import TunSwitch
from uwsgi_router.router.net.acceptor import Acceptor, Peer
from uwsgi_router.router.net.connect import to_socket
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.subscriptions.credentials import ask_for, credentials_of, receive

log = logging.getLogger("uwsgi-router.tuntap")


class TunTapServer:
    """Router of packets.

    Args:
        config: its configuration.
        tun: descriptor of the TUN device, non-blocking; not closed.
        listeners: that devices connect to.
        gateway: UDP socket for other routers, non-blocking; None: there is none.
        loop: the event loop.
        max_peers: devices at once; further ones wait in the backlog.
    """

    def __init__(
        self,
        config: TunTapConfig,
        tun: int,
        listeners: Sequence[BoundSocket],
        gateway: socket.socket | None,
        *,
        loop: asyncio.AbstractEventLoop,
        max_peers: int = 1000,
    ) -> None:
        self._config = config
        self._tun = tun
        self._gateway = gateway
        self._loop = loop
        self._max_peers = max_peers
        self._acceptor = Acceptor(loop, listeners, self._connected)
        self._peers: dict[TunPeer, None] = {}
        self._blocked: set[TunPeer] = set()
        self._limited = RateLimited(log)
        self._stopping = False
        self.switch = TunSwitch(
            tun,
            Firewall(config.firewall_in),
            Firewall(config.firewall_out),
            config.routes,
            gateway,
            spoofing=config.allow_spoof,
            replaced=self._replaced,
        )

    @property
    def peers(self) -> list[TunPeer]:
        """The connected devices, in the order of their coming."""
        return list(self._peers)

    def start(self) -> None:
        """Begin to serve."""
        self._loop.add_reader(self._tun, self._tun_readable)
        if self._gateway is not None:
            self._loop.add_reader(self._gateway, self._gateway_readable)
        self._acceptor.start()

    def stop(self) -> None:
        """Close the connections; the TUN device stays open."""
        self._stopping = True
        self._acceptor.stop(drain=False)
        self._loop.remove_reader(self._tun)
        if self._gateway is not None:
            self._loop.remove_reader(self._gateway)
        for peer in list(self._peers):
            self._close(peer, "the router stops")

    # --- packets ---

    def _tun_readable(self) -> None:
        try:
            peers = self.switch.read_tun()
        except OSError as exc:
            # Somebody has removed it; without it there is nothing to read, and no use in trying.
            self._loop.remove_reader(self._tun)
            self._limited.error("tun", "the TUN device can't be read: %s", exc.strerror)
            return
        self._flush(peers)

    def _gateway_readable(self) -> None:
        self._flush(self.switch.read_gateway())

    def _flush(self, peers: Sequence[TunPeer]) -> None:
        for peer in peers:
            if peer not in self._blocked:
                self._send(peer)

    def _send(self, peer: TunPeer) -> None:
        try:
            done = peer.stream.flush()
        except OSError as exc:
            self._close(peer, f"the connection is broken: {exc.strerror}")
            return
        if done == (peer in self._blocked):
            if done:
                self._blocked.discard(peer)
                self._loop.remove_writer(peer.stream.sock.fileno())
            else:
                self._blocked.add(peer)
                self._loop.add_writer(peer.stream.sock.fileno(), self._send, peer)

    def _peer_readable(self, peer: TunPeer) -> None:
        if peer not in self._peers:
            return
        try:
            packets = peer.stream.receive() if peer.greeted else self._greet(peer)
            peer.take_rules()
        except FrameError as exc:
            self._limited.warning("frames", "%s: %s: closed", name_of(peer), exc)
            self._close(peer, str(exc))
            return
        except OSError as exc:
            self._close(peer, f"the connection is broken: {exc.strerror}")
            return
        if packets is None:
            self._close(peer, "it has left")
            return
        if peer.stream.more:
            # uvloop tells of a broken socket once, whatever is left to read: its end is found without being told of.
            self._loop.call_soon(self._peer_readable, peer)
        before = (peer.ipv4, peer.ipv6)
        collisions = peer.collision
        self.switch.forward(peer, packets)
        if (peer.ipv4, peer.ipv6) != before:
            log.info("%s is %s", name_of(peer), ", ".join(addresses_of(peer)))
        if peer.collision != collisions:
            self._limited.warning(
                "collision", "%s: it sends from the address of another device", name_of(peer)
            )

    # --- peers ---

    def _connected(self, bare: socket.SocketType, _peer: Peer) -> None:
        sock = to_socket(bare)
        asked = self._config.use_credentials
        if asked:
            ask_for(sock)
        peer = TunPeer(sock, credentials_of(sock), greeted=not asked)
        self._peers[peer] = None
        self._loop.add_reader(sock.fileno(), self._peer_readable, peer)
        if len(self._peers) >= self._max_peers:
            self._acceptor.pause()

    def _greet(self, peer: TunPeer) -> list[bytes]:
        """Read what has to come first, with the credentials of whoever sent it; return no packets.

        Raises:
            FrameError: something else came.
            OSError: the connection is broken.
        """
        sock = peer.stream.sock
        assert isinstance(sock, socket.socket)
        try:
            data, _, credentials = receive(sock, len(HELLO))
        except BlockingIOError:
            return []
        if data != HELLO or credentials is None:
            raise FrameError("it does not begin with its credentials")
        peer.credentials = credentials
        peer.greeted = peer.stream.more = True
        return []

    def _replaced(self, peer: TunPeer) -> None:
        self._close(peer, "its owner has connected again")

    def _close(self, peer: TunPeer, reason: str) -> None:
        if peer not in self._peers:
            return
        del self._peers[peer]
        self._blocked.discard(peer)
        self.switch.forget(peer)
        descriptor = peer.stream.sock.fileno()
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)
        peer.stream.sock.close()
        if peer.ipv4 or peer.ipv6:
            log.info("%s: gone: %s", name_of(peer), reason)
        if not self._stopping:
            self._acceptor.resume()

    # --- statistics ---

    def describe(self) -> Mapping[str, Any]:
        """Return uWSGI's keys, and behind them ours."""
        switch = self.switch
        return {
            "peers": [_described(peer) for peer in self._peers],
            "unknown": switch.unknown,
            "firewall": switch.inward_refused,
        }


def _described(peer: TunPeer) -> Mapping[str, Any]:
    stream, credentials = peer.stream, peer.credentials
    ipv4 = addresses_of(peer)[0] if peer.ipv4 else ""
    return {
        "addr": ipv4,
        # As uWSGI: the bytes of the network, read as a number of this machine.
        "addr_32": int.from_bytes(peer.ipv4, "little"),
        "uid": credentials.uid if credentials else 0,
        "gid": credentials.gid if credentials else 0,
        "pid": credentials.pid if credentials else 0,
        "tx": stream.tx,
        "rx": stream.rx,
        "dropped": stream.dropped,
        "addr6": socket.inet_ntop(socket.AF_INET6, peer.ipv6) if peer.ipv6 else "",
        "packets_tx": stream.packets_out,
        "packets_rx": stream.packets_in,
        "refused": {
            "malformed": peer.malformed,
            "firewall": peer.firewall,
            "local": peer.local,
            "spoofed": peer.spoofed,
            "collision": peer.collision,
            "rules": peer.refused,
            "tun": peer.tun,
        },
    }


def addresses_of(peer: TunPeer) -> list[str]:
    """Return the addresses of a peer that are known, IPv4 first."""
    found = [socket.inet_ntop(socket.AF_INET, peer.ipv4)] if peer.ipv4 else []
    if peer.ipv6:
        found.append(socket.inet_ntop(socket.AF_INET6, peer.ipv6))
    return found


def name_of(peer: TunPeer) -> str:
    """Return the name of a peer, for the log."""
    credentials = peer.credentials
    if credentials is None:
        return "somebody's device"
    return f"the device of user {credentials.uid}, process {credentials.pid}"

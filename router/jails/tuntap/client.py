"""Device of a vassal: packets between its TUN device and a tuntap router; it connects again when that has ended."""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from typing import Final

from uwsgi_router.protocol.ip import is_host, source_of, version_of
from uwsgi_router.protocol.tuntap import HELLO, DeviceRule, FrameError, encode_rules
from uwsgi_router.router.jails.tuntap.stream import FrameStream

log = logging.getLogger("uwsgi-router.tuntap")

_PACKET: Final = 65_535
_BATCH: Final = 128


class TunDeviceClient:
    """Connection of a TUN device to its router.

    Args:
        tun: descriptor of the device, non-blocking; not closed.
        path: socket of the router; an abstract name begins with NUL.
        rules: that the router is told.
        loop: the event loop.
        use_credentials: begin with credentials.
        retry: seconds between two tries to connect.
    """

    def __init__(
        self,
        tun: int,
        path: bytes,
        rules: Sequence[DeviceRule],
        *,
        loop: asyncio.AbstractEventLoop,
        use_credentials: bool = False,
        retry: float = 1.0,
    ) -> None:
        self._tun = tun
        self._path = path
        self._hello = (HELLO if use_credentials else b"") + (
            encode_rules(list(rules)) if rules else b""
        )
        self._loop = loop
        self._retry = retry
        self._timer: asyncio.TimerHandle | None = None
        self._told = ""
        self._blocked = False
        self.stream: FrameStream | None = None
        self.lost = 0

    def start(self) -> None:
        """Connect, now or as soon as that works."""
        self._timer = None
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(self._path)
            if self._hello:
                # A new connection has room for it.
                sock.sendall(self._hello)
        except OSError as exc:
            sock.close()
            self._later(f"cannot connect: {exc.strerror}")
            return
        self._told = ""
        log.info("connected to %s", os.fsdecode(self._path))
        self.stream = FrameStream(sock)
        self._loop.add_reader(sock.fileno(), self._router_readable, self.stream)
        self._loop.add_reader(self._tun, self._tun_readable)

    def stop(self) -> None:
        """Disconnect for good."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._disconnect()

    def _later(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            log.warning(
                "%s: %s; tried again every %g s", os.fsdecode(self._path), reason, self._retry
            )
        self._timer = self._loop.call_later(self._retry, self.start)

    def _disconnect(self) -> None:
        stream = self.stream
        if stream is None:
            return
        self.stream = None
        self._blocked = False
        self._loop.remove_reader(self._tun)
        descriptor = stream.sock.fileno()
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)
        stream.sock.close()

    def _lost(self, reason: str) -> None:
        self._disconnect()
        self._later(reason)

    # --- packets ---

    def _tun_readable(self) -> None:
        stream = self.stream
        assert stream is not None
        for _ in range(_BATCH):
            try:
                packet = os.read(self._tun, _PACKET)
            except BlockingIOError:
                break
            # What concerns the link only is nothing for the router: uWSGI's closes the connection for it.
            if packet[0] >> 4 == 6 and not (
                version_of(packet) == 6 and is_host(source_of(packet, 6))
            ):
                continue
            stream.put(packet)
        self._send()

    def _send(self) -> None:
        stream = self.stream
        assert stream is not None
        try:
            done = stream.flush()
        except OSError as exc:
            self._lost(f"the connection is broken: {exc.strerror}")
            return
        if done != self._blocked:
            return
        self._blocked = not done
        if done:
            self._loop.remove_writer(stream.sock.fileno())
            self._loop.add_reader(self._tun, self._tun_readable)
        else:
            # The kernel's queue of the device fills, which its senders notice.
            self._loop.remove_reader(self._tun)
            self._loop.add_writer(stream.sock.fileno(), self._send)

    def _router_readable(self, stream: FrameStream) -> None:
        if stream is not self.stream:
            return
        try:
            packets = stream.receive()
        except (FrameError, OSError) as exc:
            self._lost(f"the connection is broken: {exc}")
            return
        if packets is None:
            self._lost("the router has closed the connection")
            return
        if stream.more:
            # uvloop tells of a broken socket once, whatever is left to read: its end is found without being told of.
            self._loop.call_soon(self._router_readable, stream)
        tun = self._tun
        for packet in packets:
            try:
                os.write(tun, packet)
            except OSError:
                self.lost += 1

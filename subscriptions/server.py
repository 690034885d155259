"""The datagram server: reads what nodes announce, and has it applied to the table."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final

from protocol.subscription import MAX_DATAGRAM, SubscriptionError, decode
from subscriptions.events import Event
from subscriptions.registry import Refused, Registry

#: Datagrams read before everything else gets its turn again.
BATCH: Final = 64


class SubscriptionServer:
    """Feeds the datagrams of one socket to a registry. Several may feed the same one.

    Args:
        sock: a bound, non-blocking datagram socket, UDP (v4, v6) or UNIX. The caller closes it.
        registry: the table.
        on_events: is given what happened, after each datagram that changed something.
        refused: is given (sender, reason) of each datagram that was not accepted. Anybody may send
            any number of them: what it logs must be limited.
        loop: the event loop.
    """

    def __init__(
        self,
        sock: socket.socket,
        registry: Registry,
        on_events: Callable[[list[Event]], None],
        refused: Callable[[str, str], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._sock = sock
        self._registry = registry
        self._on_events = on_events
        self._refused = refused
        self._loop = loop
        self._started = False

    def __repr__(self) -> str:
        state = "started" if self._started else "stopped"
        return f"<SubscriptionServer fd={self._sock.fileno()} {state}>"

    def start(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._sock.fileno(), self._readable)
        self._started = True

    def close(self) -> None:
        """Read no more; may be called again."""
        if self._started:
            self._loop.remove_reader(self._sock.fileno())
            self._started = False

    def _readable(self) -> None:
        for _ in range(BATCH):
            if not self._started:  # closed by what an event led to
                return
            try:
                # One byte more than is allowed, or a datagram that was cut off would look whole.
                datagram, sender = self._sock.recvfrom(MAX_DATAGRAM + 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                self._refused("socket", f"reading failed: {exc.strerror or exc}")
                return
            self._receive(datagram, sender)

    def _receive(self, datagram: bytes, sender: object) -> None:
        source = source_address(sender)
        try:
            subscription = decode(datagram)
            # Signatures and credentials are to be verified here: before the table hears of it.
            events = self._registry.apply(subscription, source=source, now=self._loop.time())
        except (SubscriptionError, Refused) as exc:
            self._refused(source or peer_name(sender), str(exc))
            return
        if events:
            self._on_events(events)


def source_address(sender: object) -> str | None:
    """Return the IP address in what ``recvfrom`` calls the sender, None if it is no IP socket.

    IPv4 senders on an IPv6 socket are shown as IPv4; a link-local IPv6 address carries the number
    of its interface.
    """
    match sender:
        case (str(host), int()):
            return host
        case (str(host), int(), int(), int(scope)):
            if host.lower().startswith("::ffff:") and "." in host:
                return host[7:]
            return f"{host}%{scope}" if scope and "%" not in host else host
    return None


def peer_name(sender: object) -> str:
    """Return what to call a sender on a UNIX socket in a log line."""
    match sender:
        case str(path) if path:
            return f"unix {path}"
        case bytes(name) if name:
            return "unix @" + os.fsdecode(name.strip(b"\0"))
    return "unix"

"""Subscription server: reads announces from a datagram socket, has them admitted and applied."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final

from uwsgi_router.protocol.subscription import MAX_DATAGRAM, Subscription, SubscriptionError, decode
from uwsgi_router.subscriptions import credentials, notify
from uwsgi_router.subscriptions.events import Event, NodeAdded
from uwsgi_router.subscriptions.gate import TOO_MANY, Gate
from uwsgi_router.subscriptions.refusal import Refusal, Refused
from uwsgi_router.subscriptions.registry import Registry
from uwsgi_router.subscriptions.sender import Credentials, Sender
from uwsgi_router.subscriptions.sni import Sni

#: Datagrams read before everything else gets its turn again.
BATCH: Final = 16
# Those that are dropped unread cost little: so many are taken from the socket.
MOST: Final = 64
# A sender that exceeded its rate is not looked at again for so many seconds; what it may send adds up meanwhile.
_MUTED: Final = 0.01


class _Muted:
    """Sender that exceeds its rate: its datagrams are dropped unread for a moment, and counted."""

    __slots__ = ("count", "name", "until")

    def __init__(self, until: float, name: str) -> None:
        self.until = until
        self.name = name
        self.count = 0


class SubscriptionServer:
    """Server that feeds the datagrams of one socket to a registry. Several may feed the same one.

    Args:
        sock: a bound, non-blocking datagram socket, UDP (v4, v6) or UNIX. The caller closes it.
        registry: the table.
        on_events: is given what happened, after each datagram that changed something.
        refused: is given each datagram that was not accepted. Anybody may send any number of them:
            what it logs must be limited.
        loop: the event loop.
        gate: who may announce what; the same for all servers of a table.
        wall_clock: seconds since the epoch, which signed announces are dated in.
        notifier: sends answers to those who ask for them; None: nobody is answered.
        unheard: is given (path, reason) when an answer could not be sent; to be limited as well.
        sni: tells what an announce says that TLS for its key needs, as far as that may be taken.
        accepted: is given each datagram that was obeyed.
    """

    def __init__(
        self,
        sock: socket.socket,
        registry: Registry,
        on_events: Callable[[list[Event]], None],
        refused: Callable[[Refusal], None],
        loop: asyncio.AbstractEventLoop,
        *,
        gate: Gate,
        wall_clock: Callable[[], float],
        notifier: notify.Notifier | None = None,
        unheard: Callable[[bytes, str], None] = lambda _path, _reason: None,
        sni: Callable[[Subscription, Sender], Sni | None] = lambda _subscription, _sender: None,
        accepted: Callable[[bytes], None] = lambda _datagram: None,
    ) -> None:
        self._sock = sock
        self._registry = registry
        self._on_events = on_events
        self._refused = refused
        self._loop = loop
        self._gate = gate
        self._wall_clock = wall_clock
        self._notifier = notifier
        self._unheard = unheard
        self._sni = sni
        self._accepted = accepted
        self._started = False
        # Of hosts that exceed their rate.
        self._muted: dict[str, _Muted] = {}
        self._has_credentials = sock.family == socket.AF_UNIX
        if self._has_credentials:
            credentials.ask_for(sock)

    def __repr__(self) -> str:
        state = "started" if self._started else "stopped"
        return f"<SubscriptionServer fd={self._sock.fileno()} {state}>"

    def start(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._sock.fileno(), self._readable)
        self._started = True

    def move_to(self, sock: socket.socket, _old: socket.socket) -> None:
        """Read another socket of the same address from now on, after what waits in this one."""
        if self._started:
            self._loop.remove_reader(self._sock.fileno())
            self._readable()
        self._sock = sock
        if self._has_credentials:
            credentials.ask_for(sock)
        if self._started:
            self._loop.add_reader(sock.fileno(), self._readable)

    def close(self) -> None:
        """Read no more; may be called again."""
        if self._started:
            self._loop.remove_reader(self._sock.fileno())
            self._started = False

    def _readable(self) -> None:
        self._read()
        if self._muted:
            self._tell_muted()

    def _read(self) -> None:
        """Read a batch."""
        muted = self._muted
        left = BATCH
        for _ in range(MOST):
            if not (left and self._started):  # closed by what an event led to
                return
            process: Credentials | None = None
            host = ""
            try:
                # One byte more than is allowed, or a datagram that was cut off would look whole.
                if self._has_credentials:
                    datagram, address, process = credentials.receive(self._sock, MAX_DATAGRAM + 1)
                else:
                    datagram, address = self._sock.recvfrom(MAX_DATAGRAM + 1)
                    host = address[0]
                    if muted and (mute := muted.get(host)) is not None:
                        # A flood: nothing is done for it but counting.
                        mute.count += 1
                        continue
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                self._refused(Refusal("socket", "socket", f"reading failed: {exc.strerror or exc}"))
                return
            left -= 1
            sender = sender_of(address, process)
            if not self._receive(datagram, sender) and host:
                muted[host] = _Muted(self._loop.time() + _MUTED, sender.name)

    def _tell_muted(self) -> None:
        """Tell of what was dropped, and look at senders again whose time is over."""
        now = self._loop.time()
        for host, mute in list(self._muted.items()):
            if mute.count:
                self._refused(Refusal(mute.name, "rate", TOO_MANY, count=mute.count))
                mute.count = 0
            if mute.until <= now:
                del self._muted[host]

    def _receive(self, datagram: bytes, sender: Sender) -> bool:
        """Act on a datagram; return False if its sender has sent too many."""
        now = self._loop.time()
        try:
            self._gate.check_sender(sender, now)
            subscription = decode(datagram)
        except SubscriptionError as exc:
            self._refused(Refusal(sender.name, "malformed", str(exc), exc.key or None))
            text = notify.refused(exc.key or b"", exc.address, str(exc))
            self._answer(exc.notify, sender, text)
            return True
        except Refused as exc:
            self._refused(Refusal(sender.name, exc.cause, exc.reason))
            return exc.cause != "rate"
        try:
            grant = self._gate.admit(subscription, sender, self._wall_clock())
            sni = self._sni(subscription, sender)
            events = self._registry.apply(
                subscription, source=sender.source, now=now, grant=grant, sni=sni
            )
        except Refused as exc:
            self._refused(Refusal(sender.name, exc.cause, exc.reason, subscription.key))
            if subscription.report:
                text = notify.refused(subscription.key, subscription.address, exc.reason)
                self._answer(subscription.notify, sender, text)
            return True
        self._accepted(datagram)
        if events:
            for event in events:
                if isinstance(event, NodeAdded):
                    text = notify.accepted(event.key, event.node.name)
                    self._answer(subscription.notify, sender, text)
            self._on_events(events)
        return True

    def _answer(self, path: bytes | None, sender: Sender, text: str) -> None:
        if path is None or self._notifier is None:
            return
        failure = self._notifier.send(path, text, sender)
        if failure is not None:
            self._unheard(path, failure)


def sender_of(address: object, process: Credentials | None) -> Sender:
    """Return who sent a datagram.

    Args:
        address: what ``recvfrom`` calls the sender.
        process: what the kernel says of it.
    """
    source = source_address(address)
    if source is not None:
        return Sender(source, source)
    name = peer_name(address)
    if process is not None:
        name += f" (pid {process.pid}, uid {process.uid})"
    return Sender(name, None, process)


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

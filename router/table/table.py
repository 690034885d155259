"""Table of announced nodes: its datagram sockets, events, log, and the routers that use it.

Two routers that name the same subscription address share one table, so both are told what happens in it.
"""

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from uwsgi_router.protocol.address import Address
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.protocol.text import show, to_bytes
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import SubscriptionConfig
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.net.destinations import Destinations
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.table.event_log import EventLog
from uwsgi_router.router.table.flood import KnownSenders, Losses
from uwsgi_router.router.table.gate import build_gate
from uwsgi_router.router.table.resubscription import Announced, Resubscription
from uwsgi_router.router.table.signing_clock import SigningClock
from uwsgi_router.router.table.tee import Tee
from uwsgi_router.router.table.timing import TableTiming
from uwsgi_router.subscriptions.adverts import Adverts
from uwsgi_router.subscriptions.events import Event, NodeRefreshed
from uwsgi_router.subscriptions.gate import never_own
from uwsgi_router.subscriptions.notify import Notifier
from uwsgi_router.subscriptions.refusal import Refusal
from uwsgi_router.subscriptions.sender import Sender
from uwsgi_router.subscriptions.server import SubscriptionServer
from uwsgi_router.subscriptions.shared_registry import SharedHealth, SharedRegistry
from uwsgi_router.subscriptions.sni import Sni, SniError, SniFiles

log = logging.getLogger("uwsgi-router.subscriptions")

#: Seconds between two lines about the same: refused datagrams of one sender for one cause and key.
QUIET: Final = 10.0


class TableListener(Protocol):
    """Listener of a table: a router that uses it."""

    def table_changed(self, events: Sequence[Event]) -> None:
        """Handle nodes that came, left, or changed."""

    def datagrams_refused(self, count: int) -> None:
        """Count announces that were refused."""

    def datagrams_lost(self, count: int) -> None:
        """Count datagrams that the kernel had no room for."""


class Table:
    """Table of announced nodes: the registry at work.

    Args:
        config: limits, and who may announce what.
        loop: the event loop.
        is_own: tells the addresses that this program listens on, which no node can have.
        wall_clock: seconds since the epoch, which signed announces are dated in.
        monotonic: seconds of a clock that nobody sets, which tells when the other one is.
        timing: times that no option sets.

    Attributes:
        config: see above.
        gate: who may announce what.
        registry: the nodes.
        used_times: the times of signed announces; None if nobody has to sign.

    Raises:
        StartError: what is to be checked can't be checked here.
    """

    def __init__(
        self,
        config: SubscriptionConfig,
        loop: asyncio.AbstractEventLoop,
        *,
        is_own: Callable[[Address], bool] = never_own,
        wall_clock: Callable[[], float] = time.time,  # noqa: TID251
        monotonic: Callable[[], float] = time.monotonic,
        timing: TableTiming | None = None,
    ) -> None:
        self._loop = loop
        self._timing = timing or TableTiming()
        self.gate = build_gate(config, is_own)
        self._notifier = Notifier(is_own)
        self.config = config
        self._is_own = is_own
        try:
            self._sni = SniFiles(config.sni_allow_dirs)
        except SniError as exc:
            raise StartError(str(exc)) from exc
        self.used_times = self.gate.used_times
        self._epoch = wall_clock
        self._wall_clock = SigningClock(
            wall_clock,
            monotonic,
            self.used_times,
            self._forgiven,
        )
        self._clock_went_back: Callable[[float], None] = lambda _wall: None
        self._forget_at = loop.time() + self._timing.forget
        self._event_log = EventLog(config.tolerance, loop.time)
        self._known_senders = KnownSenders()
        self._losses = Losses(config.allow_from, config.tolerance)
        self.registry = SharedRegistry(
            started=loop.time(),
            tolerance=config.tolerance,
            settling=self._timing.settling,
            algorithm=config.algorithm,
            dotsplit=config.dotsplit,
            mountpoints=config.mountpoints,
            max_keys=config.max_keys,
            max_nodes_per_key=config.max_nodes_per_key,
            protocols=frozenset({"uwsgi", "http", "https", "suwsgi"}),
            router=secrets.token_hex(8).encode(),
            health=SharedHealth(
                config.max_fails,
                () if config.check is None else config.check.checked_first,
                self._timing.first_ejection,
            ),
            expected=[to_bytes(key) for key in config.expected_keys],
            slow_start=config.slow_start,
        )
        self._listeners: list[TableListener] = []
        self._servers: list[SubscriptionServer] = []
        self._timer: asyncio.TimerHandle | None = None
        self._resubscription: Resubscription | None = None
        self._tee: Tee | None = None
        if config.tee:
            copies = Destinations("subscription-tee", config.tee, loop, is_own=is_own)
            self._tee = Tee(copies, loop, self._timing.tee)
        self._on_change: Callable[[], None] = lambda: None
        self._watchers: list[Callable[[Sequence[Event]], None]] = []
        self._limited = RateLimited(log, per_second=1 / QUIET)

    def __repr__(self) -> str:
        return f"<Table {self.registry!r} servers={len(self._servers)}>"

    @property
    def identity(self) -> bytes:
        """Name by which other routers know this one; a successor keeps it."""
        return self.registry.identity

    @identity.setter
    def identity(self, identity: bytes) -> None:
        self.registry.identity = identity

    def used_by(self, listener: TableListener) -> None:
        """Tell ``listener`` what happens from now on."""
        self._listeners.append(listener)

    def unused_by(self, listener: TableListener) -> None:
        """Tell ``listener`` no more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def start(self, sockets: Sequence[BoundSocket]) -> None:
        """Begin to read announces, and to look for stale nodes.

        Args:
            sockets: of its subscription servers; none if another process reads them and decides.
        """
        for bound in sockets:
            self._losses.watch(bound)
            bound.on_replaced = self._serve(bound.sock).move_to
            if bound.second is not None:
                self._serve(bound.second)
                self._known_senders.add_lane(bound.sock)
        if self._timer is None:
            # Once, however many routers share the table.
            self._timer = self._loop.call_later(self._timing.sweep, self._sweep)
            if self._tee is not None:
                self._tee.start()

    def pause(self) -> None:
        """Read no announces: another process does. The sockets stay open, and the other routers are told nothing."""
        for server in self._servers:
            server.close()
        if self._resubscription is not None:
            self._resubscription.close()
            self._resubscription = None

    def resume(self) -> None:
        """Read announces again."""
        for server in self._servers:
            server.start()

    def _serve(self, sock: socket.socket) -> SubscriptionServer:
        """Read announces from a socket."""
        server = SubscriptionServer(
            sock,
            self.registry,
            self.report,
            self._refused,
            self._loop,
            gate=self.gate,
            wall_clock=self._wall_clock,
            notifier=self._notifier,
            unheard=self._unheard,
            sni=self.sni_of,
            accepted=self._accepted,
        )
        server.start()
        self._servers.append(server)
        return server

    def saved(self, wall: float, written: float) -> None:
        """Note when what was just taken in was written, in seconds since the epoch; ``wall`` is now."""
        self._wall_clock.saved(wall, written)

    def on_clock_back(self, forgiven: Callable[[float], None]) -> None:
        """Call ``forgiven`` with the time when times of signed announces are forgiven because the clock went back."""
        self._clock_went_back = forgiven

    def resubscribe(self, announced: Announced, bound: Sequence[socket.socket]) -> None:
        """Begin to announce this router to others, as it is configured.

        Args:
            announced: what it is to them.
            bound: sockets to announce it from.
        """
        destinations = Destinations(
            "fastrouter-resubscribe",
            self.config.resubscribe,
            self._loop,
            is_own=self._is_own,
            bound=bound,
        )
        adverts = Adverts(self.registry, self.identity, self._timing.announce)
        self._resubscription = Resubscription(adverts, destinations, announced, self._loop)
        self._resubscription.start()

    async def withdraw(self) -> None:
        """Tell the other routers that this one goes."""
        if self._resubscription is not None:
            await self._resubscription.withdraw()
            self._resubscription.close()
            self._resubscription = None

    def watch(self, watcher: Callable[[Sequence[Event]], None]) -> None:
        """Tell ``watcher`` what happens from now on, after the routers have been told."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[Sequence[Event]], None]) -> None:
        """Tell ``watcher`` no more."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` when other nodes are in the table, or in another state, than before."""
        self._on_change = changed

    def close(self) -> None:
        """Listen no more."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._notifier.close()
        if self._tee is not None:
            self._tee.close()
        if self._resubscription is not None:
            self._resubscription.close()

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(self._timing.sweep, self._sweep)
        now = self._loop.time()
        lost = self._losses.look(now)
        if lost:
            for listener in self._listeners:
                listener.datagrams_lost(lost)
        self.report(self.registry.sweep(now, lossy=self._losses.lasts(now)))
        self._wall_clock.look()
        self._event_log.sum_up()
        self._known_senders.update(now)
        if now >= self._forget_at:
            self._forget_at = now + self._timing.forget
            self.gate.forget_old(self._wall_clock())

    def report(self, events: list[Event]) -> None:
        """Log what happened in the table and pass it on."""
        if not events:
            return
        self._event_log.write(events)
        self._known_senders.note(events)
        self.tell(events)

    def tell(self, events: list[Event]) -> None:
        """Pass on what happened in the table, without a line in the log."""
        if not events:
            return
        for listener in self._listeners:
            listener.table_changed(events)
        if self._resubscription is not None:
            self._resubscription.note(events)
        for watcher in tuple(self._watchers):
            watcher(events)
        if any(not isinstance(event, NodeRefreshed) or event.revived for event in events):
            self._on_change()

    def _accepted(self, datagram: bytes) -> None:
        if self._tee is not None:
            self._tee.send(datagram)
        if self.used_times is not None:
            # Its time is used now, even if nothing else has changed.
            self._on_change()

    def _forgiven(self) -> None:
        self._clock_went_back(self._epoch())
        self._on_change()

    def sni_of(self, subscription: Subscription, sender: Sender) -> Sni | None:
        """Return what TLS needs for an announced key, as far as it may be taken."""
        if not self._sni:
            return None
        try:
            return self._sni.take(subscription)
        except SniError as exc:
            self._limited.warning(
                ("sni", subscription.key),
                "[%s] the certificate that %s announces is not taken: %s",
                show(subscription.key),
                sender.name,
                exc,
            )
            return None

    def _refused(self, refusal: Refusal) -> None:
        for listener in self._listeners:
            listener.datagrams_refused(refusal.count)
        if refusal.cause == "rate":
            self._known_senders.sent_too_many(refusal.sender, self._loop.time())
        about = "" if refusal.key is None else f" for {show(refusal.key)}"
        self._limited.warning(
            (refusal.cause, refusal.sender, refusal.key),
            "refused a subscription datagram from %s%s: %s",
            refusal.sender,
            about,
            refusal.reason,
        )

    def _unheard(self, path: bytes, reason: str) -> None:
        self._limited.warning(path, "no answer was sent to %s: %s", show(path), reason)

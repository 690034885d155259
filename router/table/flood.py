"""Floods of datagrams: a lane for senders whose nodes serve requests, and what is done while datagrams are lost."""

import logging
import socket
from collections.abc import Iterable, Sequence
from typing import Final

from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.net.lanes import dropped, steer, summed_up
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.net.packet_filter import (
    MOST,
    SO_ATTACH_FILTER,
    Network,
    attach,
    only_from,
)
from uwsgi_router.subscriptions.events import Event, NodeRefreshed, NodeRemoved
from uwsgi_router.subscriptions.node import SubscribedNode

log = logging.getLogger("uwsgi-router.subscriptions")

#: Seconds for which a known sender that sent too many shares the lane of the others.
SHUT_OUT: Final = 60.0
#: Seconds between two lines about lost datagrams.
QUIET: Final = 10.0


class KnownSenders:
    """Known senders: IP addresses that announce nodes which have served requests."""

    def __init__(self) -> None:
        self._lanes: list[socket.socket] = []
        self._source_of: dict[SubscribedNode, str] = {}
        self._nodes: dict[str, int] = {}
        self._shut_out: dict[str, float] = {}
        self._changed = False

    @property
    def sources(self) -> list[str]:
        """Their addresses, but for those that are shut out."""
        return [source for source in self._nodes if source not in self._shut_out]

    def add_lane(self, first: socket.socket) -> None:
        """Have the datagrams of known senders go into the second lane beside ``first``."""
        self._lanes.append(first)
        self._changed = bool(self._nodes)

    def note(self, events: Iterable[Event]) -> None:
        """Note who is known by what happened in the table."""
        for event in events:
            if isinstance(event, NodeRefreshed):
                node = event.node
                if node.requests and node.source != self._source_of.get(node):
                    self._forget(node)
                    if node.source is not None:
                        self._source_of[node] = node.source
                        self._nodes[node.source] = self._nodes.get(node.source, 0) + 1
                        self._changed = True
            elif isinstance(event, NodeRemoved):
                self._forget(event.node)

    def _forget(self, node: SubscribedNode) -> None:
        source = self._source_of.pop(node, None)
        if source is not None:
            self._nodes[source] -= 1
            if not self._nodes[source]:
                del self._nodes[source]
                self._changed = True

    def sent_too_many(self, source: str, now: float) -> None:
        """Note that a sender exceeded its rate: it shares the lane of the others for a while."""
        if source in self._nodes:
            self._changed = self._changed or source not in self._shut_out
            self._shut_out[source] = now + SHUT_OUT

    def update(self, now: float) -> None:
        """Tell the kernel who is known; to be called about once a second."""
        for source in [one for one, until in self._shut_out.items() if until <= now]:
            del self._shut_out[source]
            self._changed = True
        if not self._changed:
            return
        self._changed = False
        networks = summed_up(self.sources)
        for first in self._lanes:
            try:
                steer(first, networks)
            except OSError as exc:
                # What the kernel was told before stays.
                log.warning("the lane of known senders is not up to date: %s", exc.strerror)


class Losses:
    """Losses of datagrams: how many the kernel had no room for, and what is done about it.

    While some are lost, datagrams from networks that may not announce are dropped by the kernel, before they take room;
    otherwise they get a line in the log, which says why.

    Args:
        allow_from: networks that may announce; empty: any.
        lasting: seconds for which a loss counts.
    """

    def __init__(self, allow_from: Sequence[Network], lasting: float) -> None:
        self._allow_from = allow_from if len(allow_from) <= MOST else ()
        self._lasting = lasting
        self._sockets: list[tuple[BoundSocket, socket.socket]] = []
        self._before: dict[socket.socket, int] = {}
        self._until = 0.0
        self._filtered = False
        self._limited = RateLimited(log, per_second=1 / QUIET)

    def watch(self, bound: BoundSocket) -> None:
        """Watch the sockets of a subscription server."""
        for sock in (bound.sock, bound.second):
            if sock is not None:
                self._sockets.append((bound, sock))
                self._before[sock] = dropped(sock)

    def look(self, now: float) -> int:
        """Return how many were lost since the last look; to be called about once a second."""
        lost = 0
        for bound, sock in self._sockets:
            count = dropped(sock)
            here = (count - self._before[sock]) & 0xFFFF_FFFF
            if not here:
                continue
            self._before[sock] = count
            lost += here
            self._limited.warning(
                bound.name,
                "%s: %d datagrams were lost, because more came than could be read: a flood, or"
                " net.core.rmem_max is too small; nodes that serve requests do not become stale meanwhile",
                bound.name,
                here,
            )
        if lost:
            self._until = now + self._lasting
            self._filter()
        return lost

    def lasts(self, now: float) -> bool:
        """Return True if datagrams were lost a moment ago: who was not heard need not be silent."""
        return now < self._until

    def _filter(self) -> None:
        if self._filtered or not self._allow_from:
            return
        self._filtered = True
        program = only_from(self._allow_from)
        for bound, sock in self._sockets:
            if sock is bound.sock and sock.family != socket.AF_UNIX:
                try:
                    attach(sock, SO_ATTACH_FILTER, program)
                except OSError as exc:
                    log.warning("%s: the kernel takes no filter: %s", bound.name, exc.strerror)
                    return
        log.warning(
            "from now on the kernel drops datagrams from networks that subscriptions-allow-from does not name"
        )

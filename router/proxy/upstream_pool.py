"""Connection pool of HTTP nodes: idle and used connections counted together, limits, waiting queues.

A server that gives a process to each connection (uWSGI's http11-socket, gunicorn's sync worker) starves behind a proxy
that keeps more of them than it has processes: so idle ones and those in use are counted together.

There is one queue for all nodes of a key (``Node.group``): whoever came first gets the first connection that is free,
whichever node's, one of a node that has just come too.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from typing import Final

from uwsgi_router.router.net.link import Link, LinkOwner
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.proxy.waiter import Waiter
from uwsgi_router.subscriptions.node import Node

#: Of a node that may have any number of connections, so many idle ones are kept.
MAX_IDLE: Final = 32


class _Idle(LinkOwner):
    """Idle connection; owns the link meanwhile, and reads it."""

    __slots__ = ("_upstreams", "link", "node", "since", "until")

    def __init__(
        self, upstreams: "UpstreamPool", node: Node, link: Link, since: float, until: float
    ) -> None:
        self._upstreams = upstreams
        self.node = node
        self.link = link
        self.since = since
        self.until = until

    def readable(self) -> None:
        """End the connection: the node has closed it, or sent something that nobody asked for."""
        self._upstreams.ended(self)

    def touch(self) -> None:
        """Do nothing: an idle connection does not write."""

    def wake(self) -> None:
        """Do nothing: an idle connection does not wait."""

    def link_broken(self, link: Link, error: OSError) -> None:
        """Do nothing: an idle connection does not write."""


class _Connections:
    """Connections of one node."""

    __slots__ = ("idle", "in_use")

    def __init__(self) -> None:
        self.in_use = 0
        self.idle: list[_Idle] = []

    @property
    def count(self) -> int:
        return self.in_use + len(self.idle)

    @property
    def unused(self) -> bool:
        return not (self.in_use or self.idle)


class UpstreamPool:
    """Connection pool of all HTTP nodes of this process, whichever router uses them.

    Args:
        loop: the event loop.
        poller: for its clock.
        tick: seconds between two looks for idle connections that were kept for long enough.

    Every connection is counted in by :meth:`reserve` (or by being granted to a waiter) before it is made or taken, and
    out by :meth:`keep` or :meth:`free`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, poller: Poller, tick: float) -> None:
        self._loop = loop
        self._poller = poller
        self._tick_seconds = tick
        self._nodes: dict[Node, _Connections] = {}
        # Who waits for a node of a group, in the order of their coming. None of them is empty.
        self._queues: dict[object, OrderedDict[Waiter, None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<UpstreamPool nodes={len(self._nodes)} idle={self.idle}>"

    @property
    def idle(self) -> int:
        """Number of idle connections."""
        return sum(len(connections.idle) for connections in self._nodes.values())

    def counts(self, node: Node) -> tuple[int, int]:
        """Return how many connections of ``node`` are in use, and how many idle."""
        connections = self._nodes.get(node)
        return (connections.in_use, len(connections.idle)) if connections is not None else (0, 0)

    # --- counting ---

    def reserve(self, node: Node, limit: int | None) -> bool:
        """Count one connection in; False if the node has as many as it may, or others wait for one.

        A node with a limit that did not answer its last connect has one connection, to find out, until it answers.

        Args:
            node: to be connected to.
            limit: connections, idle and in use together; None: any number.
        """
        connections = self._nodes.get(node)
        if connections is None:
            connections = self._nodes[node] = _Connections()
        if limit is not None and (
            connections.in_use >= limit
            or node.group in self._queues
            or (node.suspect and connections.in_use)
        ):
            if connections.unused:
                del self._nodes[node]
            return False
        connections.in_use += 1
        return True

    def take(self, node: Node) -> Link | None:
        """Return a kept connection for a reserved slot, the one used last; None if there is none."""
        idle = self._nodes[node].idle
        return idle.pop().link if idle else None

    def take_alive(self, node: Node, idle_for: float) -> Link | None:
        """Return the same, for a request that can't be sent again.

        Args:
            node: whose; it must not have closed it in this very moment.
            idle_for: not one that was idle for longer, seconds.
        """
        idle = self._nodes[node].idle
        while idle and self._poller.now - idle[-1].since <= idle_for:
            link = idle.pop().link
            if link.is_quiet():
                return link
            link.close()
        return None

    def make_room(self, node: Node, limit: int | None) -> None:
        """Close the oldest idle connection if a new one for a reserved slot would be one too many."""
        connections = self._nodes[node]
        while limit is not None and connections.idle and connections.count > limit:
            connections.idle.pop(0).link.close()

    def keep(self, node: Node, link: Link, seconds: float) -> None:
        """Take back a connection that may serve another request, for at most ``seconds``."""
        connections = self._nodes[node]
        if len(connections.idle) >= MAX_IDLE:
            connections.idle.pop(0).link.close()
        now = self._poller.now
        kept = _Idle(self, node, link, now, now + seconds)
        link.owned_by(kept)
        link.on_low = None
        link.read_with(kept)
        connections.idle.append(kept)
        connections.in_use -= 1
        if self._queues and node.group in self._queues:
            self._offer(node)
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_seconds, self._tick)

    def free(self, node: Node) -> None:
        """Count out a connection in use that has been closed, or was not made."""
        connections = self._nodes[node]
        connections.in_use -= 1
        if self._queues and node.group in self._queues:
            self._offer(node)
        if connections.unused:
            del self._nodes[node]

    # --- waiting ---

    def wait(self, waiter: Waiter, nodes: Collection[Node]) -> None:
        """Queue ``waiter`` for the first slot that becomes free at a node of the groups of ``nodes``.

        Args:
            waiter: in no queue yet; at once granted a slot of one of ``nodes``, if nobody before it takes that.
            nodes: found without a free slot.
        """
        for node in nodes:
            self._queues.setdefault(node.group, OrderedDict())[waiter] = None
        for node in nodes:
            # While others were tried it may have come to have one; who would tell us later?
            self._offer(node)

    def waiting_for(self, node: Node) -> int:
        """Return how many wait for a node of the same group."""
        queue = self._queues.get(node.group)
        return 0 if queue is None else len(queue)

    def leave(self, waiter: Waiter, nodes: Collection[Node]) -> None:
        """Remove ``waiter`` from all queues; a slot that it was granted stays its own."""
        for node in nodes:
            queue = self._queues.get(node.group)
            if queue is not None:
                queue.pop(waiter, None)
                if not queue:
                    del self._queues[node.group]

    def came(self, node: Node) -> None:
        """Give the free slots of a node that has come, or come back, to those who wait for one of its group."""
        if node.group not in self._queues:
            return
        if node.proto == "http":
            self._offer(node)
        else:
            self._look_again(node)

    def _offer(self, node: Node) -> None:
        """Grant the free slots of ``node`` to the first waiters that accept it."""
        queue = self._queues.get(node.group)
        if queue is None or not node.takes_requests:
            return
        connections = self._nodes.get(node)
        if connections is None:
            connections = self._nodes[node] = _Connections()
        served: list[Waiter] = []
        for waiter in queue:
            if waiter.granted is not None:
                # By a node of another group.
                served.append(waiter)
                continue
            limit = waiter.limit_of(node)
            if limit is not None and connections.in_use >= limit:
                break
            if node.suspect and connections.in_use:
                break
            if waiter.accepts(node):
                connections.in_use += 1
                waiter.granted = node
                waiter.wake()
                served.append(waiter)
        for waiter in served:
            del queue[waiter]
        if not queue:
            del self._queues[node.group]
        if connections.unused:
            del self._nodes[node]

    def _look_again(self, node: Node) -> None:
        for waiter in self._queues.get(node.group, ()):
            waiter.notified = True
            waiter.wake()

    # --- ends ---

    def ended(self, kept: _Idle) -> None:
        """Forget an idle connection that has ended."""
        kept.link.close()
        connections = self._nodes[kept.node]
        connections.idle.remove(kept)
        if connections.unused:
            del self._nodes[kept.node]

    def drop(self, node: Node) -> None:
        """Close a departed node's idle connections, and let those who wait see whether any other is left."""
        self._look_again(node)
        connections = self._nodes.get(node)
        if connections is None:
            return
        for kept in list(connections.idle):
            kept.link.close()
        connections.idle.clear()
        if connections.unused:
            del self._nodes[node]

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.time()
        for connections in list(self._nodes.values()):
            for kept in [kept for kept in connections.idle if kept.until <= now]:
                self.ended(kept)
        if any(connections.idle for connections in self._nodes.values()):
            self._timer = self._loop.call_later(self._tick_seconds, self._tick)

    def close(self) -> None:
        """Close every idle connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for node in list(self._nodes):
            self.drop(node)

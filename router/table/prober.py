"""Health check scheduler: checks nodes at intervals, and applies rise and fall thresholds.

Each node has its own place in the interval, so that nodes that came together are not checked
together. Checks run side by side up to a number, and begin up to a number in a second; of more nodes
than that allows each is checked less often, in turn.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import Final

from uwsgi_router.router.certificates.nodes import NodeTls
from uwsgi_router.router.config.health_checks import Checks
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.table.probe import probe
from uwsgi_router.router.table.timing import TableTiming
from uwsgi_router.subscriptions.events import Event, NodeAdded, NodeRefreshed, NodeRemoved
from uwsgi_router.subscriptions.health import UNCHECKED
from uwsgi_router.subscriptions.node import GONE, SubscribedNode
from uwsgi_router.subscriptions.registry import Registry

log = logging.getLogger("uwsgi-router.subscriptions")

# Multiples of it fall evenly into any interval (the golden ratio's fraction).
_SPREAD: Final = 0.6180339887498949


class _Record:
    """Record of a node's checks; ``first``: none has succeeded, and one has to."""

    __slots__ = ("due", "failures", "first", "node", "successes")

    def __init__(self, node: SubscribedNode, due: float) -> None:
        self.node = node
        self.due = due
        self.first = node.check_failure == UNCHECKED
        self.successes = 0
        self.failures = 0

    def __lt__(self, other: "_Record") -> bool:
        return self.due < other.due


class Prober:
    """Scheduler of the health checks of a table's nodes.

    Args:
        checks: what is configured.
        registry: the table; its nodes' health is told to ``registry.health``.
        report: told when a node has become healthy or unhealthy.
        resolver: for nodes whose address is a name.
        tls: for nodes that speak TLS.
        loop: the event loop.
        timing: times and rates that no option sets.
    """

    def __init__(
        self,
        checks: Checks,
        registry: Registry,
        report: Callable[[list[Event]], None],
        resolver: Resolver,
        tls: NodeTls,
        loop: asyncio.AbstractEventLoop,
        timing: TableTiming | None = None,
    ) -> None:
        self._checks = checks
        self._health = registry.health
        self._report = report
        self._resolver = resolver
        self._tls = tls
        self._loop = loop
        self._timing = timing or TableTiming()
        self._records: dict[SubscribedNode, _Record] = {}
        self._queue: list[_Record] = []
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next_start = 0.0
        for pool in registry.pools.values():
            for node in pool.nodes:
                self._take_in(node)
        self._begin_due()

    def __repr__(self) -> str:
        return f"<Prober nodes={len(self._records)} running={len(self._running)}>"

    async def close(self) -> None:
        """Check no more."""
        self._records.clear()
        self._queue.clear()
        self._cancel_timer()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def note(self, events: Iterable[Event]) -> None:
        """Note events of the table."""
        changed = False
        for event in events:
            match event:
                case NodeAdded(_, node):
                    self._take_in(node)
                    changed = True
                case NodeRefreshed(_, node, True) if node.check_failure == UNCHECKED:
                    # It had left, and is another process now: what was found out means nothing.
                    self._take_in(node)
                    changed = True
                case NodeRemoved(_, node):
                    self._records.pop(node, None)
                case _:
                    pass
        if len(self._queue) > 2 * len(self._records) + self._timing.checks_at_once:
            self._queue = [record for record in self._queue if self._is_current(record)]
            heapify(self._queue)
        if changed:
            self._begin_due()

    def _take_in(self, node: SubscribedNode) -> None:
        due = self._loop.time()
        if node.check_failure != UNCHECKED:
            due += node.order * _SPREAD % 1 * self._checks.interval
        record = self._records[node] = _Record(node, due)
        heappush(self._queue, record)

    def _is_current(self, record: _Record) -> bool:
        return self._records.get(record.node) is record

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin_due(self) -> None:
        """Begin the checks that are due, and schedule the next."""
        self._cancel_timer()
        timing, now = self._timing, self._loop.time()
        self._next_start = max(
            self._next_start, now - timing.checks_in_a_row / timing.checks_a_second
        )
        while self._queue and len(self._running) < timing.checks_at_once:
            record = self._queue[0]
            if not self._is_current(record):
                heappop(self._queue)
                continue
            at = max(record.due, self._next_start)
            if at > now:
                self._timer = self._loop.call_at(at, self._begin_due)
                return
            heappop(self._queue)
            self._next_start += 1 / timing.checks_a_second
            task = self._loop.create_task(self._check(record))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            self._begin_due()

    async def _check(self, record: _Record) -> None:
        node = record.node
        verdict: str | None = None
        try:
            if node.proto not in self._checks.protocols:
                # It came back as another kind, of which nothing is asked.
                verdict = ""
            elif node.rank != GONE:
                verdict = await probe(node, self._checks, self._resolver, self._tls)
        except Exception:
            log.exception("a bug: the check of %s was lost", node.name)
        if not self._is_current(record):
            return
        if verdict is not None:
            self._judge(record, verdict)
        interval = self._checks.interval
        if record.first:
            interval = min(interval, self._timing.first_check)
        record.due = max(record.due + interval, self._loop.time())
        heappush(self._queue, record)

    def _judge(self, record: _Record, failure: str) -> None:
        node, checks = record.node, self._checks
        if failure:
            record.successes = 0
            record.failures += 1
            if record.first or node.check_failure or record.failures >= checks.fall:
                self._report_any(self._health.unhealthy(node, failure))
            return
        record.failures = 0
        record.successes += 1
        if record.first or record.successes >= checks.rise:
            record.first = False
            self._report_any(self._health.healthy(node))

    def _report_any(self, events: list[Event]) -> None:
        if events:
            self._report(events)

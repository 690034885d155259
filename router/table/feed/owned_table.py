"""Owned table: the table of the process that decides, with what the workers hold, count and report."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from uwsgi_router.protocol.text import to_text
from uwsgi_router.router.table.feed.frames import Record
from uwsgi_router.router.table.feed.ledger import Ledger, announced_by
from uwsgi_router.router.table.feed.parts import Sums, Worker
from uwsgi_router.router.table.feed.table_records import (
    Totals,
    adopt_memory,
    records_of,
    rows,
    take,
)
from uwsgi_router.router.table.restoring import adopt
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.events import (
    Event,
    NodeIdle,
    NodeRefreshed,
    PoolAdded,
    PoolRemoved,
    SniChanged,
)
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.node_record import RecordError, decode, number, raw, seconds, text
from uwsgi_router.subscriptions.pool import NodePool
from uwsgi_router.subscriptions.replay import SignedNode

log = logging.getLogger("uwsgi-router.feed")

# Of a node that announced itself as before, its time is enough.
_SEEN: Final = -1


class OwnedTable:
    """Part of a feed: a table that this process decides.

    Args:
        name: of the table: its first subscription server.
        table: it.
        changed: called when :meth:`changes` has something to tell.
        now: the loop's clock.
    """

    def __init__(
        self, name: str, table: Table, changed: Callable[[], None], now: Callable[[], float]
    ) -> None:
        self.name = name
        self._table = table
        self._registry = table.registry
        self._changed = changed
        self._now = now
        self._ledgers: dict[Worker, Ledger] = {}
        self._counted = Sums()
        self._nodes: dict[int, SubscribedNode] = {}
        self._dirty: dict[SubscribedNode, int] = {}
        self._told: dict[SubscribedNode, tuple[object, ...]] = {}
        self._others: list[Record] = []
        self._questions = 0
        self._signed = False
        self._left_out: list[str] = []
        self._registry.follow(None)
        self._registry.sort_by_age()
        self._registry.sharing = self
        for node in self._registry.nodes():
            self._nodes[node.order] = node
        table.watch(self._happened)
        if table.used_times is not None:
            table.used_times.on_use = self._used
        table.on_clock_back(self._clock_went_back)

    def close(self) -> None:
        """Tell nothing more, and hold nothing for the workers."""
        self._registry.sharing = None
        self._table.unwatch(self._happened)
        if self._table.used_times is not None:
            self._table.used_times.on_use = None
        for worker in list(self._ledgers):
            self.left(worker)

    # --- What happens here ---

    def ask(self, node: SubscribedNode) -> None:
        """Count a node as held until each worker has said whether it holds it."""
        self._questions += 1
        for ledger in self._ledgers.values():
            if node.order not in ledger.asked:
                node.reference += 1
            ledger.asked[node.order] = self._questions
        self._dirty[node] = self._questions
        self._changed()

    def changed(self, node: SubscribedNode) -> None:
        """Tell the workers what a node is like now."""
        self._dirty[node] = max(0, self._dirty.get(node, 0))
        self._changed()

    def _happened(self, events: Sequence[Event]) -> None:
        dirty = self._dirty
        for event in events:
            if isinstance(event, PoolRemoved):
                self._counted.forget(event.key)
            if isinstance(event, PoolAdded | PoolRemoved | SniChanged | NodeIdle):
                continue
            node = event.node
            if isinstance(event, NodeRefreshed) and not event.revived:
                if self._told.get(node) == announced_by(node):
                    dirty.setdefault(node, _SEEN)
                    continue
            elif not node.removed:
                self._nodes[node.order] = node
            dirty[node] = max(0, dirty.get(node, 0))
        self._changed()

    def _used(self, signer: str, node: SignedNode, command: str, time: int) -> None:
        self._others.append((self.name, "use", signer, to_text(node[0]), node[1], command, time))
        self._changed()

    def _clock_went_back(self, wall: float) -> None:
        self._others.append((self.name, "back", wall))
        self._changed()

    def changes(self) -> list[Record]:
        """Return what has changed since the last call."""
        records, self._others = self._others, []
        seen: list[tuple[int, float]] = []
        for node, question in self._dirty.items():
            if node.removed:
                self._forget(node)
                records.append((self.name, "drop", node.order))
            elif question == _SEEN:
                seen.append((node.order, node.last_seen))
            else:
                self._told[node] = announced_by(node)
                records.append((self.name, "node", self._record(node), max(0, question)))
        self._dirty.clear()
        if seen:
            records.append((self.name, "seen", seen))
        return records

    def _record(self, node: SubscribedNode) -> list[Any]:
        return self._registry.record_of(node, self._base(node)).encode()

    def _base(self, node: SubscribedNode) -> Totals:
        """Return what was counted of a node by workers that have ended."""
        requests, received, sent = self._counted.living(node.order, 3)
        return node.requests - requests, node.tx - received, node.rx - sent

    def _base_hits(self, pool: NodePool) -> int:
        return pool.hits - self._counted.living(pool.key, 1)[0]

    def _forget(self, node: SubscribedNode) -> None:
        self._nodes.pop(node.order, None)
        self._told.pop(node, None)
        self._counted.forget(node.order)
        for ledger in self._ledgers.values():
            ledger.held.pop(node.order, None)
            ledger.kept.pop(node.order, None)
            ledger.suspect.pop(node.order, None)
            ledger.asked.pop(node.order, None)

    # --- Workers ---

    def joined(self, worker: Worker) -> None:
        """Note a worker that gets a snapshot next."""
        self.left(worker)
        ledger = self._ledgers[worker] = Ledger()
        self._counted.joined(worker)
        for node in self._registry.nodes():
            if node.drained or (node.death_mark and not node.stale):
                self._questions += 1
                ledger.asked[node.order] = self._questions
                node.reference += 1

    def left(self, worker: Worker) -> None:
        """Note that a worker has ended: what it counted stays, what it held is free."""
        ledger = self._ledgers.pop(worker, None)
        counted = self._counted.left(worker)
        if ledger is None:
            return
        for order in {*ledger.held, *ledger.asked}:
            node = self._nodes.get(order)
            if node is not None:
                self._hold(node, -ledger.held.get(order, 0) - (order in ledger.asked))
        self._tell_base(counted)

    def _tell_base(self, names: Iterable[object]) -> None:
        """Tell the others what workers that have ended had counted: they know it if this process ends."""
        for name in names:
            if isinstance(name, int):
                node = self._nodes.get(name)
                if node is not None:
                    self._others.append((self.name, "base", name, self._base(node)))
            elif isinstance(name, bytes) and (pool := self._registry.pools.get(name)) is not None:
                hits = self._base_hits(pool)
                self._others.append((self.name, "looked-up", to_text(name), hits))
        self._changed()

    def snapshot(self, worker: Worker | None) -> Iterator[Record]:
        """Yield the whole table; see :func:`records_of`."""
        if worker is None:
            for rate in self._table.gate.rates.items():
                yield self.name, "rate", *rate
            yield from records_of(
                self.name,
                self._table,
                lambda node: (node.requests, node.tx, node.rx),
                lambda pool: pool.hits,
            )
            return
        asked = (self._ledgers.get(worker) or Ledger()).asked
        yield from records_of(
            self.name,
            self._table,
            self._base,
            self._base_hits,
            lambda node: asked.get(node.order, 0),
        )
        for node in self._registry.nodes():
            self._nodes[node.order] = node
            self._told.setdefault(node, announced_by(node))

    def kept(self, node: SubscribedNode) -> int:
        """Return how many idle connections to a node the workers keep."""
        return sum(ledger.kept.get(node.order, 0) for ledger in self._ledgers.values())

    @property
    def idle(self) -> int:
        """Number of idle connections of all workers to nodes of this table."""
        return sum(sum(ledger.kept.values()) for ledger in self._ledgers.values())

    def _hold(self, node: SubscribedNode, change: int) -> None:
        """Count references of workers."""
        if not change:
            return
        node.reference += change
        if not node.reference and (node.death_mark or node.drained):
            self._table.report(self._registry.released(node, self._now()))

    def report(self, worker: Worker, word: str, values: Sequence[Any]) -> None:
        """Take in what a worker reports; nodes that have left meanwhile are passed over.

        Raises:
            RecordError: it makes no sense.
        """
        ledger = self._ledgers.get(worker)
        if ledger is None:
            return
        if word == "counts":
            (table,) = take(values, 1)
            for row in rows(table, 7):
                self._count(worker, ledger, row)
            return
        if word == "hits":
            (table,) = take(values, 1)
            for key, hits in rows(table, 2):
                pool = self._registry.pools.get(raw(key, "key"))
                if pool is not None:
                    pool.hits += number(hits, "hits")
                    self._counted.add(worker, pool.key, (hits,))
            return
        if not values:
            raise RecordError(f"{word} says nothing")
        node = self._nodes.get(number(values[0], "order"))
        if node is None or node.removed:
            return
        self._of_node(ledger, node, word, values)

    def _of_node(
        self, ledger: Ledger, node: SubscribedNode, word: str, values: Sequence[Any]
    ) -> None:
        now = self._now()
        if word == "held":
            _, held, question = take(values, 3)
            self._held(ledger, node, number(held, "held"), number(question, "question"))
        elif word == "failed":
            _, last_seen, timed_out = take(values, 3)
            self._connect_failed(node, seconds(last_seen, "last_seen"), timed_out=bool(timed_out))
        elif word == "fault":
            _, count = take(values, 2)
            for _ in range(min(number(count, "count"), 1_000)):
                self._table.report(self._registry.health.request_failed(node, now))
            self.changed(node)
        elif word == "answered":
            self._table.report(self._registry.health.request_answered(node))
            self.changed(node)
        else:
            raise RecordError(f"{word[:20]!r} is no word of a table")

    def _held(self, ledger: Ledger, node: SubscribedNode, held: int, question: int) -> None:
        change = held - ledger.held.get(node.order, 0)
        if held:
            ledger.held[node.order] = held
        else:
            ledger.held.pop(node.order, None)
        if question and ledger.asked.get(node.order) == question:
            del ledger.asked[node.order]
            change -= 1
        self._hold(node, change)

    def _connect_failed(self, node: SubscribedNode, last_seen: float, *, timed_out: bool) -> None:
        # The worker has counted its connects itself; here begins and ends one of them.
        node.connect_started()
        if node.last_seen > last_seen:
            # It has announced itself again since the worker heard of it: it is another process, perhaps.
            node.connect_failed(timed_out=timed_out)
            self.changed(node)
            return
        now = self._now()
        self._table.report(self._registry.connect_failed(node, now, timed_out=timed_out))

    def _count(self, worker: Worker, ledger: Ledger, row: list[Any]) -> None:
        order, requests, received, sent, held, kept, suspect = row
        node = self._nodes.get(number(order, "order"))
        if node is None or node.removed:
            return
        more = number(requests, "requests"), number(received, "tx"), number(sent, "rx")
        self._counted.add(worker, node.order, more)
        node.requests += more[0]
        node.last_requests += more[0]
        node.tx += more[1]
        node.rx += more[2]
        ledger.kept[node.order] = number(kept, "kept")
        if ledger.suspect.get(node.order, node.suspect) != bool(suspect):
            node.suspect = bool(suspect)
            node.rank_changed()
            self.changed(node)
        ledger.suspect[node.order] = bool(suspect)
        self._held(ledger, node, number(held, "held"), 0)

    # --- Predecessor ---

    def adopt(self, word: str, values: Sequence[Any]) -> None:
        """Take in what a predecessor, or a worker with a copy, knew.

        Raises:
            RecordError: it makes no sense.
        """
        if word == "start":
            self._signed = bool(take(values, 4)[2])
        if adopt_memory(self._table, word, values):
            return
        if word == "node":
            record, _question = take(values, 2)
            reason = adopt(self._table, decode(record), signed=self._signed)
            if reason:
                self._left_out.append(reason)
        elif word == "looked-up":
            key, hits = take(values, 2)
            pool = self._registry.pools.get(raw(key, "key"))
            if pool is not None:
                pool.hits = number(hits, "hits")
        elif word == "rate":
            kind, source, left, since = take(values, 4)
            self._table.gate.rates.adopt(
                text(kind, "kind"), source, seconds(left, "left"), seconds(since, "since")
            )
        else:
            raise RecordError(f"{word[:20]!r} is no word of a table")

    def adopted(self) -> None:
        """Note that all of it was taken in."""
        if self._left_out:
            log.warning(
                "%s: %d nodes left out, the first one because: %s",
                self.name,
                len(self._left_out),
                self._left_out[0],
            )
            self._left_out.clear()
        self._registry.sort_by_age()
        for node in self._registry.nodes():
            self._nodes[node.order] = node
            if node.death_mark and not node.stale:
                # Whoever holds it says so when it joins.
                self.ask(node)
                if not self._ledgers:
                    self._table.report(self._registry.released(node, self._now()))

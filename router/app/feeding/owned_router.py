"""Owned router: the numbers of a router of all workers together, and the steering of its configured nodes."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from uwsgi_router.router.app.feeding.configured import NamedNodes
from uwsgi_router.router.app.feeding.counts import LEVELS, add, counted
from uwsgi_router.router.app.feeding.load_questions import LoadQuestion
from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.router.proxy.running import NodeLoad
from uwsgi_router.router.routing.configured import UnannouncedNode
from uwsgi_router.router.table.feed.frames import Record
from uwsgi_router.router.table.feed.parts import Sums, Worker
from uwsgi_router.router.table.feed.table_records import take
from uwsgi_router.subscriptions.node import Node
from uwsgi_router.subscriptions.node_record import RecordError, number, seconds, text

# Counters of a configured node: requests, bytes read and written, failures.
_WIDTH = 4


class _Share:
    """Share of one worker in what there is now."""

    __slots__ = ("asked", "ejected", "held", "kept", "levels")

    def __init__(self) -> None:
        self.levels: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.ejected: dict[str, bool] = {}
        self.asked: dict[str, int] = {}


class OwnedRouter:
    """Part of a feed: a router that other processes serve, too.

    The gateway of this process has the sums: what the workers count is added to its counters, and to
    its configured nodes.

    Args:
        name: of the part.
        gateway: the router as this process has it.
        changed: called when :meth:`changes` has something to tell.
        serves: this process serves requests, too: how many there are now it knows itself, and the state of its nodes.
    """

    def __init__(
        self, name: str, gateway: Gateway, changed: Callable[[], None], *, serves: bool
    ) -> None:
        self.name = name
        self.gateway = gateway
        self._changed = changed
        self._serves = serves
        self._named = NamedNodes(gateway)
        self._names = {node: node_name for node_name, node in self._named.nodes.items()}
        self._shares: dict[Worker, _Share] = {}
        self._sums = Sums()
        self._records: list[Record] = []
        self._steered: dict[str, tuple[bool, int]] = {}
        self._questions = 0
        self._loads: LoadQuestion | None = None
        self._datagrams = (0, 0)
        self.dropped = 0
        """Lines that access logs of all workers have lost."""
        self.dropped_log_lines = 0
        """Lines that logs of all workers have lost."""
        self._forwarders = set(self._named.forwarders.values())
        for forwarder in self._forwarders:
            forwarder.watch(self._steering)

    def close(self) -> None:
        """Tell nothing more, and hold nothing for the workers."""
        for forwarder in self._forwarders:
            forwarder.unwatch(self._steering)
        for worker in list(self._shares):
            self.left(worker)

    # --- What statistics show ---

    def total(self, level: str) -> int:
        """Return how many there are now of something, in all workers together."""
        return sum(share.levels.get(level, 0) for share in self._shares.values())

    def level_of(self, worker: Worker, level: str) -> int:
        """Return how many there are now in one worker."""
        share = self._shares.get(worker)
        return 0 if share is None else share.levels.get(level, 0)

    def counts_of(self, worker: Worker, name: str) -> int:
        """Return what one worker has counted."""
        return self._sums.of(worker).get(name, (0,))[0]

    def kept(self, node: Node) -> int:
        """Return how many idle connections the workers keep to a configured node."""
        name = self._names.get(node) if isinstance(node, UnannouncedNode) else None
        if name is None:
            return 0
        return sum(share.kept.get(name, 0) for share in self._shares.values())

    # --- What the operator wants ---

    def _steering(self) -> None:
        for name, node, _ in self._named.steered():
            wanted = node.drained, node.weight
            before = self._steered.get(name, (False, 1))
            if wanted == before:
                continue
            self._steered[name] = wanted
            question = 0
            if node.drained and not before[0]:
                self._questions += 1
                question = self._questions
                for share in self._shares.values():
                    self._ask(share, name, node, question)
            self._records.append((self.name, "steer", name, *wanted, question))
            self._changed()

    def drain_streams(self, names: Collection[str], *, end: bool) -> None:
        """Have the workers watch event streams of the nodes with these names, or ``end`` these and WebSockets."""
        self._records.append((self.name, "drain-streams", sorted(names), end))
        self._changed()

    def ask_loads(self) -> LoadQuestion:
        """Ask the workers what the running requests of each node are, unless they are being asked already."""
        asked = self._loads
        if asked is not None and not asked.is_over:
            return asked
        self._questions += 1
        question = self._loads = LoadQuestion(self._questions, self._shares)
        self._records.append((self.name, "loads", question.number))
        self._changed()
        return question

    @staticmethod
    def _ask(share: _Share, name: str, node: UnannouncedNode, question: int) -> None:
        if name not in share.asked:
            node.reference += 1
        share.asked[name] = question

    def changes(self) -> list[Record]:
        """Return what has changed since the last call."""
        counters = self.gateway.counters
        datagrams = counters.refused_datagrams, counters.lost_datagrams
        if datagrams != self._datagrams:
            self._datagrams = datagrams
            self._records.append(self._base())
        records, self._records = self._records, []
        return records

    def _base(self) -> Record:
        """Return what was counted by processes that have ended, and here."""
        totals = self._totals()
        base = {name: count - self._sums.living(name, 1)[0] for name, count in totals.items()}
        return self.name, "base", base

    def _totals(self) -> dict[str, int]:
        more = {"access-log": self.dropped, "log": self.dropped_log_lines}
        return counted(self.gateway.counters) | more

    def _bases_of_nodes(self, *, whole: bool) -> Iterator[Record]:
        for name, node in self._named.nodes.items():
            counts: tuple[int, ...] = (node.requests, node.tx, node.rx, node.failcnt)
            if not whole:
                living = self._sums.living((name,), _WIDTH)
                counts = tuple(one - other for one, other in zip(counts, living, strict=True))
            if any(counts):
                yield self.name, "base-of-node", name, *counts

    # --- Workers ---

    def joined(self, worker: Worker) -> None:
        """Note a worker that gets a snapshot next."""
        self.left(worker)
        share = self._shares[worker] = _Share()
        self._sums.joined(worker)
        for name, node, _ in self._named.steered():
            if node.drained:
                self._questions += 1
                self._ask(share, name, node, self._questions)

    def left(self, worker: Worker) -> None:
        """Note that a worker has ended: what it counted stays, what it held is free."""
        share = self._shares.pop(worker, None)
        self._sums.left(worker)
        if self._loads is not None:
            self._loads.left(worker)
        if share is None:
            return
        for name in {*share.held, *share.asked}:
            self._hold(name, -share.held.get(name, 0) - (name in share.asked))
        self._show_levels()
        self._records.append(self._base())
        self._records += self._bases_of_nodes(whole=False)
        self._changed()

    def snapshot(self, worker: Worker | None) -> Iterator[Record]:
        """Yield which nodes are steered, and what was counted."""
        if worker is None:
            yield self.name, "base", self._totals()
        else:
            yield self._base()
        yield from self._bases_of_nodes(whole=worker is None)
        share = _Share() if worker is None else self._shares.get(worker, _Share())
        for name, node, _ in self._named.steered():
            question = share.asked.get(name, 0)
            yield self.name, "steer", name, node.drained, node.weight, question

    def _hold(self, name: str, change: int) -> None:
        node = self._named.nodes[name]
        if not change:
            return
        node.reference += change
        forwarder = self._named.forwarders.get(name)
        if not node.reference and forwarder is not None:
            forwarder.released(node)

    def report(self, worker: Worker, word: str, values: Sequence[Any]) -> None:
        """Take in what a worker reports.

        Raises:
            RecordError: it makes no sense.
        """
        share = self._shares.get(worker)
        if share is None:
            return
        if word == "counts":
            self._count(worker, _numbers(values))
        elif word == "levels":
            share.levels = _numbers(values)
            self._show_levels()
        elif word == "node":
            self._count_node(worker, share, take(values, 10))
        elif word == "loads":
            question, loads = take(values, 2)
            if self._loads is not None and self._loads.number == number(question, "question"):
                self._loads.answered(worker, dict(map(_load, loads)))
        elif word == "held":
            name, held, question = take(values, 3)
            self._held(
                share, text(name, "name"), number(held, "held"), number(question, "question")
            )
        else:
            raise RecordError(f"{word[:20]!r} is no word of a router")

    def _count(self, worker: Worker, counts: dict[str, int]) -> None:
        for name, count in counts.items():
            self._sums.add(worker, name, (count,))
        self._add(counts)

    def _add(self, counts: dict[str, int]) -> None:
        add(self.gateway.counters, counts)
        self.dropped += counts.get("access-log", 0)
        self.dropped_log_lines += counts.get("log", 0)

    def _show_levels(self) -> None:
        for name in () if self._serves else LEVELS:
            setattr(self.gateway.counters, name, self.total(name))

    def _count_node(self, worker: Worker, share: _Share, values: Sequence[Any]) -> None:
        name, requests, received, sent, failures, held, kept, failed_at, ejected, suspect = values
        node = self._named.nodes.get(text(name, "name"))
        if node is None:
            return
        more = (
            number(requests, "requests"),
            number(received, "tx"),
            number(sent, "rx"),
            number(failures, "failcnt"),
        )
        self._sums.add(worker, (name,), more)
        self._add_to(node, more)
        share.kept[name] = number(kept, "kept")
        share.ejected[name] = ejected is True
        failed = None if failed_at is None else seconds(failed_at, "failed_at")
        if not self._serves:
            node.ejected = any(one.ejected.get(name, False) for one in self._shares.values())
            node.suspect = suspect is True
            node.failed_at = failed
        self._held(share, name, number(held, "held"), 0)

    @staticmethod
    def _add_to(node: UnannouncedNode, more: tuple[int, int, int, int]) -> None:
        node.requests += more[0]
        node.tx += more[1]
        node.rx += more[2]
        node.failcnt += more[3]

    def _held(self, share: _Share, name: str, held: int, question: int) -> None:
        if name not in self._named.nodes:
            return
        change = held - share.held.get(name, 0)
        share.held[name] = held
        if question and share.asked.get(name) == question:
            del share.asked[name]
            change -= 1
        self._hold(name, change)

    # --- Predecessor ---

    def adopt(self, word: str, values: Sequence[Any]) -> None:
        """Take in what a predecessor, or a worker with a copy, knew.

        Raises:
            RecordError: it makes no sense.
        """
        if word == "base":
            self._add(_numbers(values))
        elif word == "base-of-node":
            name, *counts = take(values, 5)
            node = self._named.nodes.get(text(name, "name"))
            if node is not None:
                requests, received, sent, failed = (number(one, "count") for one in counts)
                self._add_to(node, (requests, received, sent, failed))
        elif word == "steer":
            name, drained, weight, _question = take(values, 4)
            forwarder = self._named.forwarders.get(text(name, "name"))
            if forwarder is not None:
                node = self._named.nodes[name]
                forwarder.drain(node, drained is True)
                if forwarder.weighted:
                    forwarder.weigh(node, max(1, number(weight, "weight")))
        else:
            raise RecordError(f"{word[:20]!r} is no word of a router")

    def adopted(self) -> None:
        """Do nothing: every record is complete."""


def _numbers(values: Sequence[Any]) -> dict[str, int]:
    (counts,) = take(values, 1)
    if not isinstance(counts, dict):
        raise RecordError("counts are none")
    return {name: number(count, name) for name, count in counts.items()}


def _load(row: object) -> tuple[tuple[str, str], NodeLoad]:
    """Return the load of a node as a worker has told it.

    Raises:
        RecordError: it makes no sense.
    """
    if not isinstance(row, list):
        raise RecordError("a load is none")
    key, name, waiting, since, streams, tunnels = take(row, 6)
    load = NodeLoad(
        number(waiting, "waiting"),
        seconds(since, "waiting_since"),
        number(streams, "streams"),
        number(tunnels, "tunnels"),
    )
    return (text(key, "key"), text(name, "name")), load

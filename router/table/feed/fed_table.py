"""Fed table: a copy of the table, which hears what the owner decides and reports what it found out."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from uwsgi_router.protocol.text import to_text
from uwsgi_router.router.table.feed.frames import Record
from uwsgi_router.router.table.feed.parts import Increments
from uwsgi_router.router.table.feed.table_records import (
    Totals,
    adopt_memory,
    records_of,
    rows,
    take,
)
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.events import Event, NodeRemoved, PoolRemoved
from uwsgi_router.subscriptions.grant import Grant
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.node_record import RecordError, decode, number, raw, seconds, text

#: Nodes, and keys, whose counters are looked at in one turn.
SLICE: Final = 1_000

_Shown = tuple[Totals, int, int, bool]
_NOTHING: Final[_Shown] = ((0, 0, 0), 0, 0, False)


class FedTable:
    """Part of a feed: a table that another process decides.

    Args:
        name: of the table.
        table: it; it reads no datagrams.
        urgent: called when :meth:`urgent` has something to tell.
        now: the loop's clock.
        kept: tells how many idle connections there are to a node.
    """

    def __init__(
        self,
        name: str,
        table: Table,
        urgent: Callable[[], None],
        now: Callable[[], float],
        kept: Callable[[SubscribedNode], int] = lambda _node: 0,
    ) -> None:
        self.name = name
        self._table = table
        self._registry = table.registry
        self._urgent = urgent
        self._now = now
        self._kept = kept
        self._nodes: dict[int, SubscribedNode] = {}
        self._base: dict[SubscribedNode, Totals] = {}
        self._base_hits: dict[bytes, int] = {}
        self._failed: dict[SubscribedNode, bool] = {}
        self._faults: dict[SubscribedNode, tuple[bool, int]] = {}
        self._released: dict[SubscribedNode, None] = {}
        self._answers: list[Record] = []
        self._counted = Increments()
        # What the owner was last told of a node, and of a key.
        self._shown: dict[SubscribedNode, _Shown] = {}
        self._hits: dict[bytes, int] = {}
        self._due: list[SubscribedNode] = []
        self._due_keys: list[bytes] = []
        self._named: set[SubscribedNode] | None = None
        # Until an owner has told of a node, this process does not know what the owner calls it.
        self._waiting = True
        self._registry.follow(self)

    def close(self) -> None:
        """Decide again from now on."""
        self._registry.follow(None)

    def count_from_now(self) -> None:
        """Tell nothing of what was counted before: the next owner knows it."""
        for node in self._registry.nodes():
            self._counted.take(node, (node.requests, node.tx, node.rx))
        for pool in self._registry.pools.values():
            self._counted.take(pool.key, (pool.hits,))
        self._counted.settle()

    # --- What happens here: see Superior ---

    def connect_failed(self, node: SubscribedNode, *, timed_out: bool) -> None:
        """Tell of a failed connect."""
        self._failed[node] = timed_out or self._failed.get(node, False)
        self._urgent()

    def released(self, node: SubscribedNode) -> None:
        """Tell that nothing here holds a node that is gone or drained."""
        self._released[node] = None
        self._urgent()

    def request_failed(self, node: SubscribedNode) -> None:
        """Tell of a failed request."""
        answered, faults = self._faults.get(node, (False, 0))
        self._faults[node] = answered, faults + 1
        self._urgent()

    def request_answered(self, node: SubscribedNode) -> None:
        """Tell of an answer of a node that had failed before."""
        self._faults[node] = True, 0
        self._urgent()

    def urgent(self) -> list[Record]:
        """Return what the owner has to know at once."""
        if self._waiting:
            return []
        records, self._answers = self._answers, []
        for node, timed_out in self._failed.items():
            records.append((self.name, "failed", node.order, node.last_seen, timed_out))
        for node, (answered, faults) in self._faults.items():
            if answered:
                records.append((self.name, "answered", node.order))
            if faults:
                records.append((self.name, "fault", node.order, faults))
        for node in self._released:
            # It may have been leased again since.
            records.append((self.name, "held", node.order, node.reference, 0))
        self._failed.clear()
        self._faults.clear()
        self._released.clear()
        return records

    def counts(self) -> list[Record]:
        """Return what was counted since the last call, of some nodes and keys in turn."""
        records: list[Record] = []
        if self._waiting:
            return records
        if not self._due:
            self._due = list(self._nodes.values())
        table = [row for node in self._due[:SLICE] if (row := self._count(node)) is not None]
        del self._due[:SLICE]
        if table:
            records.append((self.name, "counts", table))
        pools = self._registry.pools
        if not self._due_keys:
            self._due_keys = list(pools)
        hits: list[tuple[str, int]] = []
        for key in self._due_keys[:SLICE]:
            pool = pools.get(key)
            if pool is None or self._hits.get(key, 0) == pool.hits:
                continue
            self._hits[key] = pool.hits
            more = self._counted.take(key, (pool.hits,))
            if more is not None:
                hits.append((to_text(key), more[0]))
        del self._due_keys[:SLICE]
        if hits:
            records.append((self.name, "hits", hits))
        return records

    def _count(self, node: SubscribedNode) -> tuple[Any, ...] | None:
        counts = node.requests, node.tx, node.rx
        shown = counts, node.reference, self._kept(node), node.suspect
        # Nearly always nothing has happened, and there may be many nodes.
        if self._shown.get(node, _NOTHING) == shown or node.removed:
            return None
        self._shown[node] = shown
        more = self._counted.take(node, counts) or (0, 0, 0)
        return (node.order, *more, *shown[1:])

    # --- The owner ---

    def attached(self, *, again: bool, taken: bool) -> None:
        """Note another owner; see :meth:`FedPart.attached`."""
        if again:
            self._counted.repeat()
        if taken:
            self._counted.settle()
        self._waiting = True
        self._shown.clear()
        self._hits.clear()
        self._answers.clear()
        self._due = []
        self._due_keys = []

    def begin(self) -> None:
        """Note that a snapshot begins."""
        self._named = set()
        self._nodes.clear()

    def end(self) -> None:
        """Remove the nodes that the snapshot did not name."""
        named, self._named = self._named, None
        if named is None:
            return
        for node in self._registry.nodes():
            if node not in named:
                self._take_out(node)
        self._waiting = False
        self._urgent()

    def apply(self, word: str, values: Sequence[Any]) -> None:
        """Take in what the owner says.

        Raises:
            RecordError: it makes no sense.
        """
        if word == "seen":
            (table,) = take(values, 1)
            self._seen(table)
        elif word == "node":
            record, question = take(values, 2)
            self._put(record, number(question, "question"))
        elif word == "drop":
            (order,) = take(values, 1)
            node = self._nodes.pop(number(order, "order"), None)
            if node is not None:
                self._take_out(node)
        elif word == "base":
            order, totals = take(values, 2)
            node = self._nodes.get(number(order, "order"))
            if node is not None:
                self._base[node] = _totals(totals)
        elif word == "looked-up":
            key, hits = take(values, 2)
            self._base_hits[raw(key, "key")] = number(hits, "hits")
        elif not self._memory(word, values) and not adopt_memory(self._table, word, values):
            raise RecordError(f"{word[:20]!r} is no word of a table")

    def _memory(self, word: str, values: Sequence[Any]) -> bool:
        """Take in what became of signed times; return False if ``word`` is another one."""
        used = self._table.used_times
        if word == "use":
            signer, key, address, command, time = take(values, 5)
            if command not in {"subscribe", "unsubscribe"}:
                raise RecordError("command is none")
            node = raw(key, "key"), text(address, "address")
            if used is not None:
                used.use(text(signer, "signer"), node, command, number(time, "time"))
            return True
        if word == "back":
            (wall,) = take(values, 1)
            if used is not None:
                used.clock_went_back(seconds(wall, "wall"))
            return True
        return False

    def _seen(self, table: object) -> None:
        events: list[Event] = []
        for order, last_seen in rows(table, 2):
            node = self._nodes.get(number(order, "order"))
            if node is not None and not node.removed:
                events += self._registry.refresh(node, seconds(last_seen, "last_seen"))
        self._table.tell(events)

    def _put(self, values: object, question: int) -> None:
        record = decode(values)
        grant = Grant(record.credentials, record.owner, record.socket_owner)
        node, events = self._registry.put(record, grant)
        self._nodes[record.order] = node
        self._base[node] = record.totals
        if self._named is not None:
            self._named.add(node)
        if question:
            self._answers.append((self.name, "held", node.order, node.reference, question))
            self._urgent()
        self._table.tell(events)

    def _take_out(self, node: SubscribedNode) -> None:
        events = self._registry.take_out(node, self._now())
        for event in events:
            if isinstance(event, NodeRemoved):
                self._forget(event.node)
            elif isinstance(event, PoolRemoved):
                self._counted.forget(event.key)
                self._base_hits.pop(event.key, None)
                self._hits.pop(event.key, None)
        self._table.tell(events)

    def _forget(self, node: SubscribedNode) -> None:
        self._base.pop(node, None)
        self._shown.pop(node, None)
        self._counted.forget(node)
        self._failed.pop(node, None)
        self._faults.pop(node, None)
        self._released.pop(node, None)

    def snapshot(self) -> Iterator[Record]:
        """Yield the whole table, with what was counted by processes that have ended."""
        # The records of the nodes have their failures.
        self._faults.clear()
        return records_of(
            self.name,
            self._table,
            lambda node: self._base.get(node, (0, 0, 0)),
            lambda pool: self._base_hits.get(pool.key, 0),
        )


def _totals(value: object) -> Totals:
    if not isinstance(value, list):
        raise RecordError("totals are none")
    requests, received, sent = take(value, 3)
    return number(requests, "requests"), number(received, "tx"), number(sent, "rx")

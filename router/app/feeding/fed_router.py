"""Fed router: a router of a worker, which tells what it counts and hears which configured nodes are drained."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from typing import Any

from uwsgi_router.router.app.feeding.configured import NamedNodes
from uwsgi_router.router.app.feeding.counts import LEVELS, counted
from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.router.core.log import dropped_lines
from uwsgi_router.router.proxy.running import end_streams_of, named_loads, watch_streams_of
from uwsgi_router.router.table.feed.frames import Record
from uwsgi_router.router.table.feed.parts import Increments
from uwsgi_router.router.table.feed.table_records import take
from uwsgi_router.subscriptions.node_record import RecordError, number, text


class FedRouter:
    """Part of a feed: a router of this process.

    Args:
        name: of the part.
        gateway: the router at work.
        urgent: called when :meth:`urgent` has something to tell.
        now: the loop's clock.
        log_lines: tells of lost lines of the log, for the first router of the process.
    """

    def __init__(
        self,
        name: str,
        gateway: Gateway,
        urgent: Callable[[], None],
        now: Callable[[], float],
        *,
        log_lines: bool = False,
    ) -> None:
        self.name = name
        self._gateway = gateway
        self._urgent = urgent
        self._now = now
        self._log_lines = log_lines
        self._named = NamedNodes(gateway)
        self._counted = Increments()
        self._base: dict[str, int] = {}
        self._base_of_nodes: dict[str, tuple[int, int, int, int]] = {}
        self._levels: dict[str, int] = {}
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._answers: list[Record] = []
        self._draining: set[str] = set()
        self._forwarders = set(self._named.forwarders.values())
        for forwarder in self._forwarders:
            forwarder.watch(self._changed)

    def close(self) -> None:
        """Tell nothing more."""
        for forwarder in self._forwarders:
            forwarder.unwatch(self._changed)

    def _changed(self) -> None:
        for name in list(self._draining):
            if not self._named.nodes[name].reference:
                self._draining.discard(name)
                self._answers.append((self.name, "held", name, 0, 0))
                self._urgent()

    def count_from_now(self) -> None:
        """Tell nothing of what was counted before: the next owner knows it."""
        self.counts()
        self._counted.settle()

    # --- What the owner says ---

    def attached(self, *, again: bool, taken: bool) -> None:
        """Note another owner; see :meth:`FedPart.attached`."""
        if again:
            self._counted.repeat()
        if taken:
            self._counted.settle()
        self._levels.clear()
        self._shown.clear()
        self._answers.clear()

    def begin(self) -> None:
        """Do nothing: every node that is steered in some way is named."""

    def end(self) -> None:
        """Do nothing: likewise."""

    def apply(self, word: str, values: Sequence[Any]) -> None:
        """Take in what the owner says.

        Raises:
            RecordError: it makes no sense.
        """
        if word == "steer":
            name, drained, weight, question = take(values, 4)
            self._steer(
                text(name, "name"),
                number(weight, "weight"),
                number(question, "question"),
                drained=drained is True,
            )
        elif word == "loads":
            (question,) = take(values, 1)
            loads = named_loads([self._gateway.connections], self._now())
            rows = [[*place, *astuple(load)] for place, load in loads.items()]
            self._answers.append((self.name, "loads", number(question, "question"), rows))
            self._urgent()
        elif word == "drain-streams":
            names, end = take(values, 2)
            if not isinstance(names, list):
                raise RecordError("names are none")
            act = end_streams_of if end is True else watch_streams_of
            act([self._gateway.connections], {text(name, "name") for name in names})
        elif word == "base":
            (counts,) = take(values, 1)
            if not isinstance(counts, dict):
                raise RecordError("counts are none")
            self._base = {name: number(count, name) for name, count in counts.items()}
        elif word == "base-of-node":
            name, requests, received, sent, failed = take(values, 5)
            self._base_of_nodes[text(name, "name")] = (
                number(requests, "requests"),
                number(received, "tx"),
                number(sent, "rx"),
                number(failed, "failcnt"),
            )
        else:
            raise RecordError(f"{word[:20]!r} is no word of a router")

    def _steer(self, name: str, weight: int, question: int, *, drained: bool) -> None:
        forwarder = self._named.forwarders.get(name)
        if forwarder is None:
            return
        node = self._named.nodes[name]
        forwarder.drain(node, drained)
        if forwarder.weighted:
            forwarder.weigh(node, weight)
        if drained and node.reference:
            self._draining.add(name)
        if question:
            self._answers.append((self.name, "held", name, node.reference, question))
            self._urgent()

    # --- What it tells ---

    def urgent(self) -> list[Record]:
        """Return what the owner has to know at once."""
        records, self._answers = self._answers, []
        return records

    def counts(self) -> list[Record]:
        """Return what was counted since the last call."""
        gateway = self._gateway
        records: list[Record] = []
        flat = counted(gateway.counters)
        if gateway.access_log is not None:
            flat["access-log"] = gateway.access_log.dropped
        if self._log_lines:
            flat["log"] = dropped_lines()
        more = {
            name: taken[0]
            for name, count in flat.items()
            if (taken := self._counted.take(name, (count,))) is not None
        }
        if more:
            records.append((self.name, "counts", more))
        levels = {name: int(getattr(gateway.counters, name)) for name in LEVELS}
        levels["sessions"] = gateway.active_sessions
        levels["kept"] = gateway.upstreams.idle
        if levels != self._levels:
            self._levels = levels
            records.append((self.name, "levels", levels))
        for name, node in self._named.nodes.items():
            counts = node.requests, node.tx, node.rx, node.failcnt
            increments = self._counted.take((name,), counts)
            shown = (
                node.reference,
                gateway.upstreams.counts(node)[1],
                node.failed_at,
                node.ejected,
                node.suspect,
            )
            if increments is None and self._shown.get(name) == shown:
                continue
            self._shown[name] = shown
            records.append((self.name, "node", name, *(increments or (0, 0, 0, 0)), *shown))
        return records

    def snapshot(self) -> Iterator[Record]:
        """Yield which nodes are steered, and what was counted by processes that have ended."""
        yield self.name, "base", self._base
        for name, counts in self._base_of_nodes.items():
            yield self.name, "base-of-node", name, *counts
        for name, node, _ in self._named.steered():
            if node.drained or node.weight != 1:
                yield self.name, "steer", name, node.drained, node.weight, 0

r"""Prometheus metrics of a router: counters and gauges with keys and nodes as labels.

Each scrape is made from what is in the table at that moment, so the series of a node that left are
simply not there any more. Labels are ``router`` (the short name), ``key``, ``node`` and, for
failures, ``reason``; nothing that a client can choose is among them. ``key`` is empty for configured
nodes (``to``, fallbacks).

A label value shows a control byte or a byte that is not UTF-8 as ``\xNN``, and a backslash twice,
so that two different keys can never become one series.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from uwsgi_router.router.admin.stats.series import PREFIX, SLICE, label, single, slices
from uwsgi_router.router.admin.stats.source import StatsSource
from uwsgi_router.router.admin.stats.tls_metrics import tls_families
from uwsgi_router.router.admin.stats.totals import NAMES, TOTALS
from uwsgi_router.router.routing.configured import UnannouncedNode
from uwsgi_router.subscriptions.node import Node, SubscribedNode
from uwsgi_router.subscriptions.pool import NodePool
from uwsgi_router.subscriptions.registry import Registry
from uwsgi_router.version import __version__, build

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Families:
    """Metric families of one router, each in as many parts as its series need, and read when it is reached.

    Args:
        source: the router.
        now: the loop's time.
        wall: the same moment as an epoch.
    """

    def __init__(self, source: StatsSource, *, now: float, wall: float) -> None:
        self._source = source
        self._epoch = wall - now

    def __iter__(self) -> Iterator[Metric | None]:
        """Yield the parts, those of a family one after the other; None in between when that takes long."""
        yield from self._router()
        registry = self._source.registry
        rows = _configured(self._source.configured_nodes)
        if registry is not None:
            keys: list[_Key] = []
            yield from _read(registry, keys, rows)
            yield from self._keys(keys)
        yield from self._nodes(rows)

    def _router(self) -> Iterator[Metric]:
        source = self._source
        name = [source.name]
        info = GaugeMetricFamily(
            PREFIX + "build_info",
            "Always 1; the program's version, and whether it is compiled or plain Python.",
            labels=["router", "version", "build"],
        )
        info.add_metric([*name, __version__, build()], 1)
        yield info
        for metric, text, value in (
            ("active_sessions", "Open client connections.", source.active_sessions),
            ("cheap", "1 while the router does not accept for want of nodes.", int(source.cheap)),
            ("requests_holding", "Requests that wait for a node now.", source.counters.holding),
            (
                "requests_queueing",
                "Requests that wait for a connection to an HTTP node now.",
                source.counters.queueing,
            ),
            (
                "spooled_bytes",
                "Bytes of bodies that are read whole and are in memory now.",
                source.counters.spooled_bytes,
            ),
            (
                "kept_connections",
                "Idle connections to HTTP nodes, of all routers.",
                source.upstreams.idle,
            ),
        ):
            yield single(GaugeMetricFamily, metric, text, source.name, value)
        for attribute, text in TOTALS:
            metric, value = NAMES.get(attribute, attribute), getattr(source.counters, attribute)
            yield single(CounterMetricFamily, metric, text, source.name, value)
        refused = CounterMetricFamily(
            PREFIX + "connections_refused",
            "Client connections refused because there were too many, by the option that limits them.",
            labels=["router", "option"],
        )
        for option, count in list(source.counters.refused_connections.items()):
            refused.add_metric([*name, option], count)
        yield refused
        for metric, text, value in (
            (
                "access_log_lines_dropped",
                "Lines of the access log that its reader did not take in time.",
                source.access_log.dropped if source.access_log else 0,
            ),
            (
                "log_lines_dropped",
                "Lines of the log that standard error or logto did not take.",
                source.log_lines_dropped,
            ),
        ):
            yield single(CounterMetricFamily, metric, text, source.name, value)
        failed = CounterMetricFamily(
            PREFIX + "requests_failed",
            "Requests that got no whole answer, by reason.",
            labels=["router", "reason"],
        )
        for reason, count in list(source.counters.failed.items()):
            failed.add_metric([*name, reason], count)
        yield failed
        if source.certificate_ends is not None:
            yield from tls_families(source.name, source.counters, source.certificate_ends)

    def _keys(self, keys: "list[_Key]") -> Iterator[Metric]:
        for name, text, make, read in _KEYS:
            for some in slices(keys):
                family = make(PREFIX + name, text, labels=["router", "key"])
                for key in some:
                    family.add_metric([self._source.name, key.key], read(key))
                yield family

    def _nodes(self, rows: "list[_Row]") -> Iterator[Metric]:
        router = self._source.name
        idle = self._source.upstreams.counts
        now: tuple[tuple[str, str, Callable[[Node], int]], ...] = (
            ("node_active", "Exchanges that hold a node now.", lambda node: node.reference),
            ("node_kept_connections", "Idle connections to it.", lambda node: idle(node)[1]),
        )
        for make, families in ((CounterMetricFamily, _NODE_COUNTERS), (GaugeMetricFamily, now)):
            for name, text, value in families:
                for some in slices(rows):
                    family = make(PREFIX + name, text, labels=["router", "key", "node"])
                    for row in some:
                        family.add_metric([router, row.key, row.name], sum(map(value, row.nodes)))
                    yield family
        for name, text, measure in (
            (
                "node_up",
                "0 when a node is gone, stale, ejected, unhealthy or in its grace time, or does not answer connects.",
                _up,
            ),
            ("node_weight", "Weight of a node, announced or set by an operator.", _weight),
        ):
            for some in slices(rows):
                gauge = GaugeMetricFamily(PREFIX + name, text, labels=["router", "key", "node"])
                for row in some:
                    # One that is configured twice is up if it is so for one of its places.
                    gauge.add_metric([router, row.key, row.name], max(map(measure, row.nodes)))
                yield gauge
        for name, text, read in self._announced():
            for some in slices(rows):
                gauge = GaugeMetricFamily(PREFIX + name, text, labels=["router", "key", "node"])
                for row in some:
                    for node in row.nodes:
                        if isinstance(node, SubscribedNode):
                            gauge.add_metric([router, row.key, row.name], read(node))
                yield gauge

    def _announced(self) -> Iterable[tuple[str, str, Callable[[SubscribedNode], float]]]:
        """Return (metric, help, how to read it) of what only announced nodes have."""
        return (
            (
                "node_healthy",
                "0 while a node's checks fail.",
                lambda node: float(not node.check_failure),
            ),
            (
                "node_last_announce_timestamp_seconds",
                "When a node last announced itself.",
                lambda node: round(self._epoch + node.last_seen, 3),
            ),
        )


def render(source: StatsSource, *, now: float, wall: float) -> Iterator[bytes]:
    """Write a scrape in Prometheus' text format, a few hundred series at a time.

    The event loop can do other things in between.

    Args:
        source: the router.
        now: the loop's time.
        wall: the same moment as an epoch.
    """
    name = ""
    for family in Families(source, now=now, wall=wall):
        text = b"" if family is None else generate_latest(_Ready(family))
        if family is not None:
            if family.name == name:
                # One of its series came before: what the family is was said there.
                _help, _type, text = text.split(b"\n", 2)
            name = family.name
        yield text
    # Descriptors, memory and CPU of this process: what operators look at first when a proxy
    # misbehaves.
    yield generate_latest(ProcessCollector(registry=None))


class _Ready(Collector):
    """Collector of a family that was collected already."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """Return it."""
        return (self._family,)


class _Key(NamedTuple):
    """Key as it was when its nodes were read: label, pool, and how many of them were live."""

    key: str
    pool: NodePool
    live: int


class _Row(NamedTuple):
    """Row of nodes behind one pair of labels: several only if ``to`` names an address twice."""

    key: str
    name: str
    nodes: list[Node]


def _configured(nodes: Iterable[UnannouncedNode]) -> list[_Row]:
    rows: dict[str, _Row] = {}
    for node in nodes:
        name = label(node.name)
        rows.setdefault(name, _Row("", name, [])).nodes.append(node)
    return list(rows.values())


def _read(registry: Registry, keys: list[_Key], rows: list[_Row]) -> Iterator[None]:
    """Add what is in the table to ``keys`` and ``rows``; yield whenever that has taken long.

    Between two steps the table may change, so its lists are copied first. Of a pool or node that has
    left meanwhile the series are in this scrape for the last time.
    """
    handled = 0
    for pool in list(registry.pools.values()):
        key, live = label(pool.key), 0
        for some in slices(list(pool.nodes)):
            rows += [_Row(key, label(node.name), [node]) for node in some]
            live += sum(map(_serves, some))
            handled += 1 + len(some)
            if handled > SLICE:
                handled = 0
                yield None
        keys.append(_Key(key, pool, live))


def _serves(node: SubscribedNode) -> bool:
    return not (node.death_mark or node.check_failure)


def _up(node: Node) -> float:
    if isinstance(node, SubscribedNode):
        down = node.death_mark or bool(node.check_failure)
    else:
        down = isinstance(node, UnannouncedNode) and node.failed_at is not None
    return float(not (down or node.suspect or node.ejected))


def _weight(node: Node) -> float:
    return float(node.weight) if isinstance(node, SubscribedNode | UnannouncedNode) else 1.0


_NODE_COUNTERS: tuple[tuple[str, str, Callable[[Node], int]], ...] = (
    ("node_requests", "Successful connects to a node.", lambda node: node.requests),
    ("node_failures", "Failures of a node.", lambda node: node.failcnt),
    ("node_received_bytes", "Bytes read from a node.", lambda node: node.tx),
    ("node_sent_bytes", "Bytes written to a node.", lambda node: node.rx),
)

_KEYS: tuple[
    tuple[
        str,
        str,
        type[CounterMetricFamily] | type[GaugeMetricFamily],
        Callable[[_Key], int],
    ],
    ...,
] = (
    (
        "key_lookups",
        "Lookups of a key, retries included.",
        CounterMetricFamily,
        lambda key: key.pool.hits,
    ),
    (
        "key_nodes",
        "Live nodes of a key.",
        GaugeMetricFamily,
        lambda key: key.live,
    ),
)

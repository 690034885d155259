"""Attacks: who sends what to whom, and which options and nodes it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.attacks.targets import Protocol

_SINK = ("bench.attacks.sink_node",)
_SMALL = ("bench.bulk_node", "12")
_LARGE = ("bench.bulk_node", str(20_000_000))


@dataclass(frozen=True, slots=True)
class Attack:
    """Attack on a router.

    Attributes:
        name: of its row.
        kind: of :mod:`bench.attacks.attackers`.
        connections: of the attackers.
        node: module of the attacked node, and its arguments behind address and protocol.
        protocol: that this node speaks.
        port: that is attacked.
        options: of this router.
        table: announced nodes, besides.
        asks_stats: the innocent asks the stats port.
    """

    name: str
    kind: str
    connections: int
    node: Sequence[str] = _SMALL
    protocol: Protocol = "http"
    port: Literal["http", "stats", "announces"] = "http"
    options: Sequence[str] = ()
    table: int = 0
    asks_stats: bool = False

    def suits(self, router: str) -> bool:
        """Return whether this router can be attacked so: what only we have can't be compared."""
        if router in ("plain", "compiled"):
            return True
        return self.port == "http" and (router == "nginx" or self.protocol == "http")


_CHECK = ("--http-websockets", "--http-websocket-check")
_SPOOL = ("--http-post-buffering=65536",)
_KEEPALIVE = ("--http-keepalive=60",)

ATTACKS = {
    attack.name: attack
    for attack in (
        Attack("frames-2", "frames", 2, _SINK, options=_CHECK),
        Attack("frames-20", "frames", 20, _SINK, options=_CHECK),
        Attack("text-frames-20", "text_frames", 20, _SINK, options=_CHECK),
        Attack("chunks-2", "chunks", 2, protocol="uwsgi"),
        Attack("chunks-20", "chunks", 20, protocol="uwsgi"),
        Attack("unread-400", "unread", 400, _LARGE),
        Attack("churn-32", "churn", 32),
        Attack("pipeline-20", "pipeline", 20, options=_KEEPALIVE),
        Attack("many-fields-20", "many_fields", 20, options=_KEEPALIVE),
        Attack("refused-20", "refused", 20),
        Attack("dribble-200", "dribble", 200),
        Attack("uploads-8", "uploads", 8, options=_SPOOL),
        Attack("half-stats-200", "half_request", 200, port="stats", asks_stats=True),
        Attack("scrapers-8", "scrape", 8, port="stats", table=9_000),
        Attack("metrics-8", "scrape_metrics", 8, port="stats", table=9_000),
        Attack("datagrams", "datagrams", 1, port="announces"),
    )
}

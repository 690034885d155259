"""Stats document of uWSGI: keys, order, meaning (uWSGI: plugins/corerouter/corerouter.c).

Keys that 2.0.31 has stand in its order. What only uWSGI's later branch has (``algo``, ``vassal``,
``backup``, ``proto``) stands where that branch puts it; our own (``slow``, ``suspect``, ``kept``) come after
all others. Readers go by key, so neither can disturb them.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

from uwsgi_router.protocol.text import show
from uwsgi_router.router.admin.stats.source import KeptConnections, StatsSource
from uwsgi_router.router.routing.static import StaticNode
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.pool import NodePool
from uwsgi_router.version import __version__

# Keys that are numbered at once: the number of one costs 15 us, the first time.
_SLICE = 50

Members = dict[str, str | int]
"""A JSON object without nested values."""

VERSION = f"uwsgi-router {__version__}"
"""Not a bare number: tools show it, and nobody should take us for a uWSGI of that version."""


@dataclass(frozen=True, slots=True)
class Document:
    """Stats document in pieces, so that a large table can be encoded in steps.

    Attributes:
        head: everything before the lists.
        name: the key of ``sockets``: the short router name.
        sockets: the router's socket names.
        static_nodes: None if no ``to`` is configured: the key is left out then.
        subscriptions: each key with its nodes, made while it is iterated (once), None in between when that takes
            long; None without a subscription server.
        tail: what follows the lists.
        workers: one object for each process that serves the router; None: this one does, and the key is left out.
    """

    head: Members
    name: str
    sockets: list[str]
    static_nodes: list[Members] | None
    subscriptions: Iterator[tuple[Members, Iterator[Members]] | None] | None
    tail: Members
    workers: list[Members] | None = None


def describe(source: StatsSource, *, now: float, wall: float) -> Document:
    """Collect the values of a router's document.

    Args:
        source: the router.
        now: the loop's time, in seconds.
        wall: the same moment as an epoch; ``last_check`` and ``grace`` are shown as epochs.
    """
    epoch = wall - now
    registry = source.registry
    return Document(
        head={
            "version": VERSION,
            "pid": os.getpid(),
            "uid": os.getuid(),
            "gid": os.getgid(),
            "cwd": working_directory(),
            "active_sessions": source.active_sessions,
        },
        name=source.name,
        sockets=[show(socket) for socket in source.sockets],
        static_nodes=_static_nodes(source.static_nodes, epoch),
        subscriptions=None
        if registry is None
        else _subscriptions(registry.pools.values(), source.upstreams, epoch),
        tail={
            "cheap": int(source.cheap),
            "refused_connections": sum(source.counters.refused_connections.values()),
            "idle_closed": source.counters.idle_closed,
        },
        workers=None if source.workers is None else [dict(one) for one in source.workers],
    )


def document(source: StatsSource, *, now: float, wall: float) -> dict[str, object]:
    """Return the whole document as one object; arguments as for :func:`describe`."""
    pieces = describe(source, now=now, wall=wall)
    whole: dict[str, object] = {**pieces.head, pieces.name: pieces.sockets}
    if pieces.static_nodes is not None:
        whole["static_nodes"] = pieces.static_nodes
    if pieces.subscriptions is not None:
        whole["subscriptions"] = [
            {**pool, "nodes": list(nodes)} for pool, nodes in filter(None, pieces.subscriptions)
        ]
    whole |= pieces.tail
    if pieces.workers is not None:
        whole["workers"] = pieces.workers
    return whole


@lru_cache(maxsize=16_384)
def bucket(key: bytes) -> int:
    """Return the number of uWSGI's hash bucket for a key (``hash`` in the document): 0 to 65534.

    Bytes above 127 are sign-extended, as a C ``char`` is.
    """
    value = 5381
    for byte in key:
        value = (value * 33 & 0xFFFF_FFFF) ^ (byte if byte < 128 else byte | 0xFFFF_FF00)
    return value % 65_535


def working_directory() -> str:
    """Return the working directory, "" if there is none any more."""
    try:
        return show(os.getcwd())
    except OSError:  # it was removed, or may not be read by this user
        return ""


def _static_nodes(nodes: Iterable[StaticNode] | None, epoch: float) -> list[Members] | None:
    if nodes is None:
        return None
    return [
        {
            "name": show(node.name),
            "hits": node.requests,
            "grace": 0 if node.failed_at is None else int(epoch + node.failed_at),
        }
        for node in nodes
    ]


def _subscriptions(
    pools: Iterable[NodePool], upstreams: KeptConnections, epoch: float
) -> Iterator[tuple[Members, Iterator[Members]] | None]:
    # The table may change between two steps of the encoder, so the list of pools is copied first; a
    # pool or node that left meanwhile is still shown, once.
    copied = list(pools)
    # By the upper half of their numbers, so that only a few have to be sorted at once.
    numbered: list[list[tuple[int, NodePool]]] = [[] for _ in range(256)]
    for start in range(0, len(copied), _SLICE):
        for pool in copied[start : start + _SLICE]:
            number = bucket(pool.key)
            numbered[number >> 8].append((number, pool))
        yield None
    for some in numbered:
        for number, pool in sorted(some, key=itemgetter(0)):
            yield (
                {
                    "key": show(pool.key),
                    "hash": number,
                    "hits": pool.hits,
                    "sni_enabled": int(pool.sni is not None),
                    "algo": pool.algorithm,
                },
                (_node(node, upstreams, epoch) for node in list(pool.nodes)),
            )


def _node(node: SubscribedNode, upstreams: KeptConnections, epoch: float) -> Members:
    return {
        "name": show(node.name),
        "vassal": show(node.vassal or b""),
        "modifier1": node.modifier1,
        "modifier2": node.modifier2,
        "last_check": int(epoch + node.last_seen),
        "pid": node.pid,
        "uid": node.uid,
        "gid": node.gid,
        "requests": node.requests,
        "last_requests": node.last_requests,
        "tx": node.tx,
        "rx": node.rx,
        "cores": node.cores,
        "load": node.load,
        "weight": node.weight,
        "backup": node.backup,
        "proto": node.proto[:1],
        "wrr": node.wrr,
        "ref": node.reference,
        "failcnt": node.failcnt,
        "death_mark": int(node.death_mark),
        "slow": int(node.slow),
        "suspect": int(node.suspect),
        "resting": int(node.ejected),
        "unhealthy": int(bool(node.check_failure)),
        "check": show(node.check_failure),
        "drained": int(node.drained),
        "kept": upstreams.counts(node)[1],
    }

"""What came of a combination, and how it differs from what must come."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from tests.pairs.client import Answer, Talk
from tests.pairs.node import Seen


@dataclass
class Facts:
    """What only a run knows.

    Attributes:
        port: of the router.
        ids: what its request ids begin with.
        addresses: of nodes, by name.
        traffic: bytes that each node read and sent.
        clients: bytes that all clients sent and read.
        talks: what clients said and heard, in the order of their connections.
    """

    port: int = 0
    ids: str = ""
    addresses: dict[str, str] = field(default_factory=dict)
    traffic: dict[str, tuple[int, int]] = field(default_factory=dict)
    clients: tuple[int, int] = (0, 0)
    talks: list[Talk] = field(default_factory=list)


@dataclass
class NodeCounts:
    """What the router counts of a node.

    Attributes:
        rx: bytes that it was sent; ``tx``: that came from it.
        requests: successful connects, and further requests on connections that were kept.
        failcnt: failed connects.
        reference: requests that hold it.
        kept: idle connections.
    """

    rx: int
    tx: int
    requests: int = 0
    failcnt: int = 0
    reference: int = 0
    kept: int = 0


@dataclass
class Result:
    """What came of a combination.

    Attributes:
        seen: what nodes read, in order.
        talks: the answers of each request, and how the connection ended.
        waiting: heads that the client was told while its request waited.
        counted: counters of the router that are not 0.
        nodes: counters of the nodes.
        clients: bytes of clients, received and sent.
        left: what the router still has of its requests, if anything.
        log: warnings and errors.
        access: the access log.
    """

    seen: list[Seen]
    talks: list[tuple[list[Answer], str]]
    waiting: list[str]
    counted: dict[str, int]
    nodes: dict[str, NodeCounts]
    clients: tuple[int, int]
    left: str
    log: list[str]
    access: list[dict[str, object]]


@dataclass
class End:
    """An end of a connection: whose, what it has read, how the other one ended."""

    who: str
    heard: bytes
    end: str


@dataclass
class RelayResult:
    """What came of a combination of a relay.

    Attributes:
        nodes: their ends of connections, in order.
        told: what they were told of clients.
        clients: the clients' ends.
        counted: counters of the router that are not 0.
        traffic: bytes that the router counts of each node: sent to it, read from it.
        failed: failed connects of each node, if there were any.
        left: what the router still has of its connections, if anything.
        log: warnings and errors.
    """

    nodes: list[End]
    told: list[bytes]
    clients: list[End]
    counted: dict[str, int]
    traffic: dict[str, tuple[int, int]]
    failed: dict[str, int]
    left: str
    log: list[str]


def differences(found: Result | RelayResult, wanted: Result | RelayResult) -> list[str]:
    """Return what is not as it must be, a line for each."""
    return list(_apart("", asdict(found), asdict(wanted)))


def _apart(path: str, found: object, wanted: object) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in {**found, **wanted}:
            yield from _apart(f"{path}.{key}", found.get(key), wanted.get(key))
    elif isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        if len(found) != len(wanted):
            yield f"{path[1:]}: {found} instead of {wanted}"
            return
        for index, both in enumerate(zip(found, wanted, strict=True)):
            yield from _apart(f"{path}.{index}", *both)
    elif found != wanted:
        yield f"{path[1:]}: {found!r} instead of {wanted!r}"

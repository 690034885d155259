"""Views of the moment: what an Emperor and routers say in their statistics, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

#: How our own programs begin their version.
_OURS: Final = "uwsgi-router"


class StrangeStats(ValueError):
    """Error: statistics of something else; ``str()`` says what is missing."""


@dataclass(frozen=True, slots=True)
class SeenVassal:
    """Vassal in an Emperor's statistics.

    Attributes:
        id: name of its file, or the path that a pattern matched.
        pid: -1: it sleeps until somebody connects.
        last_mod: seconds; of its file, when it was loaded last.
        accepting: it has said so since it was loaded last.
        cursed: the Emperor has given it up, and waits for its end.
        on_demand: socket that wakes it; "".
        zerg: it is a copy of another one.
        last_end: how it ended last, if the Emperor says so; "".
        last_end_at: when that was, seconds; 0.
        lines: the last ones that it wrote, if the Emperor says so.
    """

    id: str
    pid: int = 0
    last_mod: int = 0
    accepting: bool = False
    cursed: bool = False
    on_demand: str = ""
    zerg: bool = False
    last_end: str = ""
    last_end_at: int = 0
    lines: Sequence[str] = ()

    @property
    def asleep(self) -> bool:
        """True if there is no process, and none is needed until somebody connects."""
        return bool(self.on_demand) and self.pid <= 0


@dataclass(frozen=True, slots=True)
class Throttling:
    """Blacklist entry of a vassal that ended too early.

    Attributes:
        attempts: further deaths after the first one.
        last: when it ended last, seconds.
        delay: seconds after that in which it is not started.
    """

    attempts: int
    last: int
    delay: float


@dataclass(frozen=True, slots=True)
class EmperorView:
    """An Emperor at one moment.

    Attributes:
        pid: of its process.
        version: of its program.
        monitors: what it watches.
        vassals: by id.
        throttled: by id.
    """

    pid: int = 0
    version: str = ""
    monitors: Sequence[str] = ()
    vassals: Mapping[str, SeenVassal] = field(default_factory=dict)
    throttled: Mapping[str, Throttling] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """True if it is this program's."""
        return self.version.startswith(_OURS)


@dataclass(frozen=True, slots=True)
class NodePlace:
    """NodePlace of a node in the routers' tables.

    Attributes:
        router: the address of its statistics.
        key: that it serves.
        address: its name there.
    """

    router: str
    key: str
    address: str


@dataclass(frozen=True, slots=True)
class SeenNode:
    """Node in a router's statistics.

    Attributes:
        place: where.
        alive: it has no death mark.
        last_check: when it announced itself last, seconds.
        running: requests that it has.
        failures: as the router counts them.
        pid: of the process that announced it; 0: it is not known.
        vassal: that it says it is; "".
        drained: an operator took it out of service.
        unhealthy: why its health checks fail; "".
        http: it speaks HTTP.
        modifiers: that uwsgi requests to it have.
    """

    place: NodePlace
    alive: bool = True
    last_check: int = 0
    running: int = 0
    failures: int = 0
    pid: int = 0
    vassal: str = ""
    drained: bool = False
    unhealthy: str = ""
    http: bool = False
    modifiers: tuple[int, int] = (0, 0)

    @property
    def serving(self) -> bool:
        """True if it gets requests."""
        return self.alive and not self.drained and not self.unhealthy


@dataclass(frozen=True, slots=True)
class RouterView:
    """A router at one moment.

    Attributes:
        address: of its statistics.
        version: of its program.
        nodes: that have announced themselves.
        pid: of the process that tells this.
        gateways: addresses of its sockets, for requests and for datagrams.
    """

    address: str
    version: str = ""
    nodes: Sequence[SeenNode] = ()
    pid: int = 0
    gateways: Sequence[str] = ()

    @property
    def ours(self) -> bool:
        """True if it is this program, whose nodes an operator can take out of service."""
        return self.version.startswith(_OURS)


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything at one moment.

    Attributes:
        emperor: as it is.
        routers: as they are.
        wall: seconds since 1970.
    """

    emperor: EmperorView
    routers: Sequence[RouterView] = ()
    wall: float = 0.0

    def nodes(self) -> dict[NodePlace, SeenNode]:
        """Return all nodes by their places."""
        return {node.place: node for router in self.routers for node in router.nodes}


def emperor_view(document: Mapping[str, Any]) -> EmperorView:
    """Read an Emperor's statistics.

    Raises:
        StrangeStats: they are no Emperor's.
    """
    vassals = document.get("vassals")
    if not isinstance(vassals, list):
        raise StrangeStats("there is no list of vassals: these are no statistics of an Emperor")
    seen = [
        SeenVassal(
            id=_text(one, "id"),
            pid=_number(one, "pid"),
            last_mod=_number(one, "last_mod"),
            accepting=_number(one, "accepting") == 1,
            cursed=_number(one, "cursed") > 0,
            on_demand=_text(one, "on_demand"),
            zerg=_number(one, "zerg") > 0,
            last_end=_text(one, "last_end"),
            last_end_at=_number(one, "last_end_at"),
            lines=_texts(one.get("last_lines")),
        )
        for one in _objects(vassals)
    ]
    throttled = {
        _text(one, "id"): Throttling(
            attempts=_number(one, "attempt"),
            last=_number(one, "last_attempt"),
            delay=_number(one, "throttle_level") / 1000,
        )
        for one in _objects(document.get("blacklist"))
    }
    return EmperorView(
        pid=_number(document, "pid"),
        version=_text(document, "version"),
        monitors=_texts(document.get("emperor")),
        vassals={vassal.id: vassal for vassal in seen},
        throttled=throttled,
    )


def router_view(address: str, document: Mapping[str, Any]) -> RouterView:
    """Read a router's statistics.

    Args:
        address: of its stats server.
        document: what that says.

    Raises:
        StrangeStats: there is no subscription server.
    """
    pools = document.get("subscriptions")
    if not isinstance(pools, list):
        raise StrangeStats(
            "there is no list of subscriptions: these are no statistics of a router with a subscription server"
        )
    nodes = [
        SeenNode(
            place=NodePlace(address, _text(pool, "key"), _text(one, "name")),
            alive=_number(one, "death_mark") == 0,
            last_check=_number(one, "last_check"),
            running=_number(one, "ref"),
            failures=_number(one, "failcnt"),
            pid=_number(one, "pid"),
            vassal=_text(one, "vassal"),
            drained=_number(one, "drained") > 0,
            unhealthy=(_text(one, "check") or "unhealthy") if _number(one, "unhealthy") else "",
            http=_text(one, "proto") == "h",
            modifiers=(_number(one, "modifier1") & 255, _number(one, "modifier2") & 255),
        )
        for pool in _objects(pools)
        for one in _objects(pool.get("nodes"))
    ]
    # Under the router's short name: fastrouter, http, rawrouter.
    lists = [value for value in document.values() if isinstance(value, list)]
    return RouterView(
        address,
        _text(document, "version"),
        tuple(nodes),
        _number(document, "pid"),
        tuple(one for some in lists for one in _texts(some)),
    )


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _number(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    return int(value) if isinstance(value, int | float) and -(2**63) < value < 2**63 else 0

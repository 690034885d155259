"""Settings of a rollout of vassals: what its command line says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from uwsgi_router.router.rollout.health import HealthGate
from uwsgi_router.router.rollout.withdrawal import DrainLimits


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """Settings of a rollout.

    Attributes:
        directory: that the Emperor watches.
        suffix: of the names of vassals' files.
        emperor_stats: address of the Emperor's statistics.
        router_stats: addresses of routers' statistics.
        minimum: of nodes of each pool that serve at any time.
        most: vassals that are worked on at once; None: as many as the minimum allows.
        timeout: seconds from the touch of a vassal to its end.
        interval: seconds between two looks.
        only: patterns of the names of vassals or files; none: all.
        key: only vassals with nodes of it; "": all.
        controls: control sockets of routers.
        fifo: pattern of the paths of vassals' fifos; "": none.
        log: pattern of the paths of vassals' logs; "": where they write their errors.
        nodes: names of vassals by addresses of their nodes.
        unrouted: vassals may have no nodes.
        gate: what each vassal is asked; None: nothing.
        drain: times of a drain.
        tolerance: seconds after its last announce at which a node of uWSGI's router counts as gone.
    """

    directory: str
    emperor_stats: str
    router_stats: Sequence[str] = ()
    suffix: str = ".ini"
    minimum: int = 1
    most: int | None = None
    timeout: float = 60.0
    interval: float = 0.1
    only: Sequence[str] = ()
    key: str = ""
    controls: Sequence[str] = ()
    fifo: str = ""
    log: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)
    unrouted: bool = False
    gate: HealthGate | None = field(default_factory=HealthGate)
    drain: DrainLimits = field(default_factory=DrainLimits)
    tolerance: float = 17.0


def filled_in(pattern: str, name: str, path: str) -> str:
    """Return a path of a vassal: ``%n`` is its name, ``%s`` the name of its file, ``%d`` its directory, with a slash.

    Args:
        pattern: with these; ``%%`` is a percent sign.
        name: of the vassal.
        path: of its file.
    """
    directory, _, base = path.rpartition("/")
    values = {"n": name, "s": base, "d": directory + "/", "%": "%"}
    parts = pattern.split("%")
    made = [parts[0]]
    rest = iter(parts[1:])
    for part in rest:
        if part:
            made.append(values.get(part[0], "%" + part[0]) + part[1:])
        else:
            # Two in a row.
            made.append("%" + next(rest, ""))
    return "".join(made)

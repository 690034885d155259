"""Emperors and routers as rollouts see them, made by hand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from uwsgi_router.router.rollout.planned import PlannedVassal
from uwsgi_router.router.rollout.views import (
    EmperorView,
    Moment,
    NodePlace,
    RouterView,
    SeenNode,
    SeenVassal,
    Throttling,
)

ROUTER = "/run/router.sock"
KEY = "example.com"


def place_of(name: str, *, key: str = KEY, router: str = ROUTER) -> NodePlace:
    return NodePlace(router, key, f"/run/{name}.sock")


def planned(name: str, **settings: object) -> PlannedVassal:
    """A vassal with one node, which is withdrawn first."""
    plan = PlannedVassal(
        name, f"{name}.ini", f"/etc/vassals/{name}.ini", frozenset({place_of(name)}), withdrawn=True
    )
    return replace(plan, **settings)  # type: ignore[arg-type]


@dataclass
class World:
    """Emperor and router; tests change them, and look."""

    vassals: dict[str, SeenVassal] = field(default_factory=dict)
    nodes: dict[NodePlace, SeenNode] = field(default_factory=dict)
    throttled: dict[str, Throttling] = field(default_factory=dict)
    wall: float = 1_000_000.0

    @classmethod
    def of(cls, *names: str) -> "World":
        """Vassals that accept, and whose nodes serve."""
        world = cls()
        for name in names:
            world.vassals[f"{name}.ini"] = SeenVassal(
                f"{name}.ini", pid=100 + len(world.vassals), last_mod=999_000, accepting=True
            )
            world.nodes[place_of(name)] = SeenNode(place_of(name), last_check=999_999)
        return world

    def moment(self) -> Moment:
        return Moment(
            EmperorView(1, "2.0.31", (), dict(self.vassals), dict(self.throttled)),
            (RouterView(ROUTER, "uwsgi-router 0", tuple(self.nodes.values())),),
            self.wall,
        )

    def vassal(self, name: str, **changes: object) -> None:
        one = f"{name}.ini"
        self.vassals[one] = replace(self.vassals[one], **changes)  # type: ignore[arg-type]

    def node(self, name: str, **changes: object) -> None:
        place = place_of(name)
        self.nodes[place] = replace(self.nodes[place], **changes)  # type: ignore[arg-type]

    def announce(self, name: str) -> None:
        """Its node has announced itself a moment ago."""
        place = place_of(name)
        node = self.nodes.get(place, SeenNode(place))
        self.nodes[place] = replace(node, last_check=int(self.wall), alive=True)

    def reload(self, name: str, mtime: float) -> None:
        """The Emperor has seen the new time of its file, and told it to reload."""
        self.vassal(name, last_mod=int(mtime), accepting=False)


def places(nodes: Iterable[SeenNode]) -> Mapping[NodePlace, SeenNode]:
    return {node.place: node for node in nodes}

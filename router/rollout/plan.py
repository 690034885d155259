"""Plan of a rollout: which vassals, in which order, what is done to each, and what speaks against it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from uwsgi_router.protocol.text import printable, show
from uwsgi_router.router.rollout.capacity import shortage
from uwsgi_router.router.rollout.mapping import AmbiguousNode, Candidate, NodeMap
from uwsgi_router.router.rollout.observer import SeenControl, VassalSource
from uwsgi_router.router.rollout.planned import PlannedVassal, RolloutLimits, order, up
from uwsgi_router.router.rollout.progress import VassalProgress
from uwsgi_router.router.rollout.settings import RolloutSettings, filled_in
from uwsgi_router.router.rollout.views import EmperorView, Moment, NodePlace, RouterView


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """Plan of a rollout.

    Attributes:
        vassals: in the order in which they are begun with.
        limits: see there.
        controls: (control socket, address) of the nodes that are drained, by the vassal's name.
        fifos: of the vassals that are silenced, by name.
        gateways: addresses of each router's sockets, by the address of its statistics.
        ways: what each router is told of a vassal that is to leave, in words, by the address of its statistics.
        refusals: why it can't be done; none: it can.
        pools: how many nodes serve, by (router, key), of those that are concerned.
    """

    vassals: Sequence[PlannedVassal]
    limits: RolloutLimits
    controls: Mapping[str, Sequence[tuple[str, str]]]
    fifos: Mapping[str, str]
    gateways: Mapping[str, Sequence[str]]
    ways: Mapping[str, str]
    refusals: Sequence[str]
    pools: Mapping[tuple[str, str], int]


class Planner:
    """Planner of a rollout.

    Args:
        settings: of the rollout.
        moment: as it is before.
        files: of all vassals.
        controls: what control sockets tell.
        kept_out: addresses that an earlier rollout left drained.
        node_map: knows whose nodes are whose.
        parent: returns the parent of a process.
    """

    def __init__(
        self,
        settings: RolloutSettings,
        moment: Moment,
        files: Sequence[VassalSource],
        controls: Sequence[SeenControl],
        kept_out: frozenset[str],
        node_map: NodeMap,
        parent: Callable[[int], int],
    ) -> None:
        self._settings = settings
        self._moment = moment
        self._files = files
        self._controls = controls
        self._kept_out = kept_out
        self._map = node_map
        self._parent = parent
        self._refusals = [f"{one.path}: {one.trouble}" for one in controls if one.trouble]
        self._ids = {one.name: id_of(one, moment.emperor) for one in files}

    def candidates(self, emperor: EmperorView) -> list[Candidate]:
        """Return all vassals of the directory, for the mapping."""
        return candidates(self._ids, emperor)

    def plan(self) -> RolloutPlan:
        """Return the plan."""
        moment = self._moment
        nodes = moment.nodes()
        try:
            places = self._map.places(self.candidates(moment.emperor), nodes.values())
        except AmbiguousNode as exc:
            self._refusals.append(str(exc))
            places = {}
        chosen = [one for one in self._files if self._is_chosen(one, places.get(one.name, ()))]
        if not chosen:
            self._refusals.append(self._nothing())
        covered = {router.address: self._covering(router) for router in moment.routers}
        made, controls, fifos = [], {}, {}
        for one in chosen:
            of_one = places.get(one.name, frozenset())
            of_controls = sorted(
                {(path, place.address) for place in of_one for path in covered[place.router]}
            )
            rolls_itself = one.applications and moment.emperor.ours
            whole = bool(of_one) and all(covered[place.router] for place in of_one)
            if rolls_itself:
                pass
            elif of_controls and (whole or not self._settings.fifo):
                controls[one.name] = of_controls
            elif self._settings.fifo and any(nodes[place].alive for place in of_one):
                fifos[one.name] = filled_in(self._settings.fifo, one.name, one.path)
            drained = {place.address for place in of_one if nodes[place].drained}
            made.append(
                PlannedVassal(
                    name=one.name,
                    id=self._ids[one.name],
                    path=one.path,
                    places=of_one,
                    routed=bool(of_one) or not self._settings.unrouted,
                    withdrawn=one.name in controls or one.name in fifos,
                    rolls_itself=rolls_itself,
                    stays_drained=bool(drained - self._kept_out),
                    brought_back=bool(drained) and drained <= self._kept_out,
                )
            )
        ordered = order(made, moment)
        limits = self._limits(len(made))
        for source, vassal in zip(chosen, made, strict=True):
            self._refusals += self._against(source, vassal)
        self._refusals += self._shortages(ordered, limits)
        return RolloutPlan(
            vassals=tuple(ordered),
            limits=limits,
            controls=controls,
            fifos=fifos,
            gateways={router.address: router.gateways for router in moment.routers},
            ways={router.address: self._way(router, covered) for router in moment.routers},
            refusals=tuple(dict.fromkeys(self._refusals)),
            pools=_serving(moment, ordered),
        )

    def _is_chosen(
        self, one: VassalSource, places: Sequence[NodePlace] | frozenset[NodePlace]
    ) -> bool:
        settings = self._settings
        named = not settings.only or any(
            fnmatchcase(name, pattern) for name in (one.name, one.base) for pattern in settings.only
        )
        return named and (not settings.key or any(place.key == settings.key for place in places))

    def _nothing(self) -> str:
        settings = self._settings
        if not self._files:
            return f"no file of {settings.directory} ends in {settings.suffix}"
        return f"no vassal of {settings.directory} is meant: there are {', '.join(one.name for one in self._files)}"

    def _limits(self, count: int) -> RolloutLimits:
        settings = self._settings
        most = settings.most if settings.most is not None else count - settings.minimum
        return RolloutLimits(
            settings.minimum, max(1, most), settings.timeout, settings.gate is not None
        )

    # --- routers ---

    def _covering(self, router: RouterView) -> list[str]:
        """Return the control sockets that take nodes out of a router's service; none if there are none."""
        if not router.ours:
            return []
        usable = [one for one in self._controls if not one.trouble]
        # A master opens the socket, its child tells the statistics.
        family = {router.pid, self._parent(router.pid)} - {0}
        mine = [one.path for one in usable if one.pid in family]
        if mine:
            return mine
        known = {(node.place.key, node.place.address) for node in router.nodes}
        knowing = [one.path for one in usable if known and known <= one.nodes]
        ours = sum(one.ours for one in self._moment.routers)
        return knowing if len(usable) == 1 and ours == 1 else []

    def _way(self, router: RouterView, covered: Mapping[str, Sequence[str]]) -> str:
        paths = covered[router.address]
        if paths:
            return f"nodes are withdrawn and drained over {', '.join(paths)}"
        if self._settings.fifo:
            return "vassals are silenced over their fifos, and their nodes unsubscribed and drained"
        own = (
            "name its control socket with --control" if router.ours else "--fifo PATTERN does more"
        )
        return f"only what the vassals' unsubscribe-on-graceful-reload does ({own})"

    # --- what speaks against it ---

    def _against(self, source: VassalSource, vassal: PlannedVassal) -> list[str]:
        emperor = self._moment.emperor
        seen = emperor.vassals.get(vassal.id)
        found = []
        if not source.there:
            found.append(f"{source.base} is a link to nothing")
        if not source.ours:
            found.append(f"{source.base} belongs to somebody else: its times can't be set")
        if source.link and seen is not None and seen.last_mod == source.mtime != source.link_mtime:
            found.append(
                f"{source.base} is a link, and the Emperor looks at what it points to:"
                " start it with emperor-nofollow"
            )
        if vassal.routed and not vassal.places and up(emperor, vassal.id):
            where = ", ".join(router.address for router in self._moment.routers) or "any router"
            found.append(
                f"{vassal.name} has no node at {where}: name it with --node {vassal.name}=ADDRESS,"
                " or --allow-unrouted"
            )
        return found

    def _shortages(self, vassals: Sequence[PlannedVassal], limits: RolloutLimits) -> list[str]:
        """Return which pools are too small; where vassals are down that come first, that shows later."""
        moment = self._moment
        progress = [VassalProgress(one, one.places) for one in vassals]
        nodes = moment.nodes()
        down = [
            one
            for one in vassals
            if not (
                any(nodes[place].serving for place in one.places)
                if one.places
                else up(moment.emperor, one.id)
            )
        ]
        if down:
            return []
        found = []
        for one in progress:
            others = [other for other in progress if other is not one]
            why = shortage(one, others, moment, limits.minimum)
            if why:
                found.append(f"without {one.plan.name}, {why}")
        return found[:1]


def candidates(ids: Mapping[str, str], emperor: EmperorView) -> list[Candidate]:
    """Return vassals for the mapping.

    Args:
        ids: names, and ids in the Emperor's statistics.
        emperor: as it is.
    """
    found = []
    for name, one in ids.items():
        seen = emperor.vassals.get(one)
        if seen is None or not seen.zerg:
            found.append(Candidate(name, one, 0 if seen is None else seen.pid))
    return found


def id_of(source: VassalSource, emperor: EmperorView) -> str:
    """Return how the Emperor calls a vassal: by the name of its file, or by the path that a pattern has matched."""
    known = {*emperor.vassals, *emperor.throttled}
    for one in (source.base, source.path):
        if one in known:
            return one
    paths = [one for one in known if "/" in one and one.rpartition("/")[2] == source.base]
    return paths[0] if len(paths) == 1 else source.base


def _serving(moment: Moment, vassals: Sequence[PlannedVassal]) -> dict[tuple[str, str], int]:
    concerned = {(place.router, place.key) for one in vassals for place in one.places}
    counts = dict.fromkeys(sorted(concerned), 0)
    for place, node in moment.nodes().items():
        if (place.router, place.key) in counts:
            counts[place.router, place.key] += node.serving
    return counts


def text_of(plan: RolloutPlan, settings: RolloutSettings, moment: Moment) -> list[str]:
    """Return the lines of a plan, for people."""
    emperor = moment.emperor
    lines = [f"Emperor of {settings.directory}: process {emperor.pid}, version {emperor.version}"]
    lines += [
        f"router {router.address}, version {router.version}: {plan.ways[router.address]}"
        for router in moment.routers
    ]
    for number, one in enumerate(plan.vassals, 1):
        steps = []
        if one.name in plan.controls:
            steps.append("drain")
        elif one.name in plan.fifos:
            steps.append(f"silence over {plan.fifos[one.name]}, unsubscribe, drain")
        steps.append(f"touch {one.path}")
        if one.rolls_itself:
            steps.append("its supervisor rolls its applications out")
        if settings.gate is not None and one.routed:
            steps.append(f"GET {settings.gate.path}")
        if one.withdrawn:
            steps.append("return")
        nodes = ", ".join(sorted({f"{place.address} ({place.key})" for place in one.places})) or (
            "down now" if one.routed else "without a node"
        )
        lines.append(f"{number}. {one.name}: {nodes}: {'; '.join(steps)}")
    for (router, key), count in plan.pools.items():
        lines.append(
            f"{key} at {router}: {count} nodes serve, never fewer than {plan.limits.minimum}"
        )
    lines.append(
        f"the first one alone, then up to {plan.limits.most} at once; each has"
        f" {settings.drain.requests:g} s to drain, and {plan.limits.timeout:g} s from the touch to its end"
    )
    return [printable(show(line)) for line in lines]

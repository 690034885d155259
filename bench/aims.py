"""Performance aims: ratios within one run, or bytes, for each build; missed ones stand in the table like met ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.results import Outcome, Result

#: The router as `pip install` brings it where it can compile, and where it can't.
COMPILED = "uwsgi-router"
PLAIN = "uwsgi-router (plain)"


@dataclass(frozen=True, slots=True)
class Aim:
    """Aim: the most that each build of the router may cost.

    Attributes:
        scenario, group: what is measured.
        says: for people: what that is.
        unit: for people: what the figures are.
        compiled, plain: the most for each build: times what ``against`` costs; without it, in the unit's own
            measure. None: it is only reported.
        against: another program of the same group.
        less: another group, whose cost is taken off that of both programs: what comes on top of it is compared.
        percent: the latency at this percentile is compared, and not the cost.
        name, plain_name: of the two builds.
        plain_group: where the plain one is, if not in ``group``.
    """

    scenario: str
    group: str
    says: str
    unit: str
    compiled: float | None
    plain: float | None
    against: str = ""
    percent: float | None = None
    name: str = COMPILED
    plain_name: str = PLAIN
    plain_group: str = ""
    less: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """Figure of one build beside its aim.

    Attributes:
        most: the aim; None: there is none.
        measured: the ratio, or the cost; None if one of the programs was not measured.
        unit: what ``measured`` is told in: ``x`` or the unit's.
        quartiles: half of the pairs' ratios is between these, if pairs were measured.
    """

    most: float | None
    measured: float | None
    unit: str = "x"
    quartiles: tuple[float, float] | None = None

    def allows(self, value: float) -> bool:
        """Return whether the aim is met by this."""
        return self.most is None or value <= self.most

    @property
    def met(self) -> bool:
        """Whether the aim is met by what was measured."""
        return self.measured is not None and self.allows(self.measured)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict on an aim: the figures of both builds."""

    aim: Aim
    compiled: Figure
    plain: Figure


_CPU, _HAPROXY, _UWSGI = "CPU per request", "HAProxy", "uWSGI http router"

AIMS: Sequence[Aim] = (
    Aim("http", "HTTP node", "HTTP, pooled HTTP nodes", f"x HAProxy, {_CPU}", 1.15, 2.1, _HAPROXY),
    Aim("http", "UNIX node", "HTTP, uwsgi UNIX nodes", f"x uWSGI, {_CPU}", 0.85, 1.5, _UWSGI),
    Aim(
        *("fastrouter", "UNIX node", "fastrouter behind nginx, UNIX nodes", f"x uWSGI, {_CPU}"),
        *(0.90, 1.5, "uWSGI fastrouter"),
    ),
    Aim(
        *("fastrouter-http", "HTTP node", "fastrouter behind nginx, pooled HTTP nodes"),
        f"x uWSGI with UNIX nodes, {_CPU}",
        *(1.0, 2.0, "uWSGI fastrouter (UNIX node)"),
    ),
    Aim(
        "bulk", "1 MB answers", "1 MB answers over HTTP", "x nginx, CPU per GB", 0.6, 0.65, "nginx"
    ),
    Aim("http-idle", "HTTP node", "idle kept connection, HTTP nodes", "bytes", 2600, 2600),
    Aim("http-idle", "UNIX node", "idle kept connection, uwsgi UNIX nodes", "bytes", 2600, 2600),
    Aim(
        *("http", "HTTP node", "p99 at the fixed rate, pooled HTTP nodes", "x HAProxy; hoped for"),
        compiled=3.0,
        plain=None,
        against=_HAPROXY,
        percent=99,
    ),
    Aim("raw", "to clients", "raw transfers", "x HAProxy, CPU per GB", 0.6, 0.6, _HAPROXY),
    Aim("raw", "copied", "raw transfers, copied", "x HAProxy, CPU per GB", 1.0, 1.0, _HAPROXY),
    Aim("raw", "100 bytes", "raw round trips", "x HAProxy, CPU", 1.3, None, _HAPROXY),
    Aim(
        *("websocket", "HTTP node", "WebSocket round trip", "x HAProxy, CPU; reported"),
        *(None, None, _HAPROXY),
    ),
    Aim(
        *("table", "requests", "10,000 keys against 1", f"x 1 key, {_CPU}", 1.05, 1.05, "1 key"),
        name="10000 keys",
        plain_name="10000 keys",
        plain_group="requests, plain",
    ),
    *(
        Aim(
            *("tls", group, f"what TLS adds: {says}", "x nginx, CPU", 1.3, None, "nginx"),
            less=less,
        )
        for group, says, less in (
            ("new, 1.3-full", "new connection, TLS 1.3", "new, plain"),
            ("new, 1.3-resumed", "new connection, TLS 1.3, resumed", "new, plain"),
            ("new, 1.2-full", "new connection, TLS 1.2", "new, plain"),
            ("new, 1.2-resumed", "new connection, TLS 1.2, resumed", "new, plain"),
            ("kept, TLS", "request of a kept connection", "kept, plain"),
        )
    ),
)


def verdicts(outcomes: Mapping[str, Outcome]) -> list[Verdict]:
    """Return how each aim stands after these scenarios."""
    return [_verdict(aim, outcomes.get(aim.scenario)) for aim in AIMS]


def _verdict(aim: Aim, outcome: Outcome | None) -> Verdict:
    return Verdict(
        aim,
        _figure(aim, outcome, aim.group, aim.name, aim.compiled),
        _figure(aim, outcome, aim.plain_group or aim.group, aim.plain_name, aim.plain),
    )


def _figure(aim: Aim, outcome: Outcome | None, group: str, name: str, most: float | None) -> Figure:
    ours = outcome and outcome.find(group, name)
    other = outcome and outcome.find(group, aim.against)
    if not ours or (aim.against and not other):
        return Figure(most, None)
    if not other:
        return Figure(most, ours.cost, ours.unit.cost)
    if outcome and aim.less:
        return Figure(most, _on_top(aim, outcome, ours, other))
    if aim.percent is not None:
        return Figure(most, _latencies(ours, other, aim.percent))
    return Figure(most, ours.ratio(other), quartiles=ours.quartiles(other) if ours.paired else None)


def _on_top(aim: Aim, outcome: Outcome, ours: Result, other: Result) -> float | None:
    """Return the ratio of what two programs cost beyond another group; None if one was not measured there."""
    less = [outcome.find(aim.less, one.name) for one in (ours, other)]
    costs = [one.cost - base.cost for one, base in zip((ours, other), less, strict=True) if base]
    return costs[0] / costs[1] if len(costs) == 2 and costs[1] > 0 else None


def _latencies(ours: Result, other: Result, percent: float) -> float | None:
    """Return the ratio of two latencies; None if one was not measured."""
    if not (ours.paces and other.paces):
        return None
    return ours.latency(percent) / other.latency(percent)

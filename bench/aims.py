"""Performance aims: ratios within one run, or bytes; missed ones stand in the table like met ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.results import Outcome

OURS = "uwsgi-router (uvloop)"
COMPILED = "uwsgi-router (uvloop, compiled)"


@dataclass(frozen=True, slots=True)
class Aim:
    """Aim: the most that one program may cost.

    Attributes:
        says: for people: scenario and aim.
        scenario, group, name: what is measured.
        most: times what ``against`` costs; without it, in the unit's own measure.
        against: another program of the same group.
        below: whether ``most`` itself is too much.
    """

    says: tuple[str, str]
    scenario: str
    group: str
    most: float
    against: str = ""
    name: str = OURS
    below: bool = False

    def allows(self, value: float) -> bool:
        """Return whether it is met by this."""
        return value < self.most if self.below else value <= self.most


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict on an aim.

    Attributes:
        measured: the ratio, or the cost; None if one of the programs was not measured.
        unit: what ``measured`` is told in: ``x`` or the unit's.
        quartiles: half of the pairs' ratios is between these, if pairs were measured.
        compiled: the same as ``measured`` of the compiled router, which decides nothing.
    """

    aim: Aim
    measured: float | None
    unit: str = "x"
    quartiles: tuple[float, float] | None = None
    compiled: float | None = None

    @property
    def met(self) -> bool:
        """Whether the router as it is usually installed meets the aim."""
        return self.measured is not None and self.aim.allows(self.measured)


AIMS: Sequence[Aim] = (
    Aim(
        ("HTTP keepalive, pooled HTTP nodes", "at most 1.8 x HAProxy's CPU per request"),
        *("http", "HTTP node", 1.8, "HAProxy"),
    ),
    Aim(
        ("the same, stretched", "at most 1.3 x HAProxy's CPU per request"),
        *("http", "HTTP node", 1.3, "HAProxy"),
    ),
    Aim(
        ("HTTP keepalive, uwsgi UNIX nodes", "at most 0.95 x uWSGI's HTTP router"),
        *("http", "UNIX node", 0.95, "uWSGI http router"),
    ),
    Aim(
        ("fastrouter behind nginx, UNIX nodes", "at most 1.0 x uWSGI's fastrouter"),
        *("fastrouter", "UNIX node", 1.0, "uWSGI fastrouter"),
    ),
    Aim(
        (
            "fastrouter behind nginx, pooled HTTP nodes",
            "below uWSGI's fastrouter with UNIX nodes",
        ),
        *("fastrouter-http", "HTTP node", 1.0, "uWSGI fastrouter (UNIX node)"),
        below=True,
    ),
    Aim(
        ("1 MB answers over HTTP", "at most 1.3 x nginx's CPU per GB"),
        *("bulk", "1 MB answers", 1.3, "nginx"),
    ),
    Aim(
        ("raw transfers, spliced", "at most 0.6 x HAProxy's CPU per GB, compiled"),
        *("raw", "to clients", 0.6, "HAProxy"),
        name=COMPILED,
    ),
    Aim(
        ("raw transfers, copied", "at most 1.0 x HAProxy's CPU per GB, compiled"),
        *("raw", "copied", 1.0, "HAProxy"),
        name=COMPILED,
    ),
    Aim(
        ("raw round trips of 100 bytes", "at most 1.3 x HAProxy's CPU, compiled"),
        *("raw", "100 bytes", 1.3, "HAProxy"),
        name=COMPILED,
    ),
    Aim(
        ("idle kept connection, HTTP nodes", "at most 6 KB"),
        *("http-idle", "HTTP node", 6000),
    ),
    Aim(
        ("idle kept connection, uwsgi UNIX nodes", "at most 6 KB"),
        *("http-idle", "UNIX node", 6000),
    ),
    Aim(
        ("10,000 keys against 1", "at most 1.05 x CPU per request"),
        *("table", "requests", 1.05, "1 key", "10000 keys"),
    ),
)


def verdicts(outcomes: Mapping[str, Outcome]) -> list[Verdict]:
    """Return how each aim stands after these scenarios."""
    return [_verdict(aim, outcomes.get(aim.scenario)) for aim in AIMS]


def _verdict(aim: Aim, outcome: Outcome | None) -> Verdict:
    ours = outcome and outcome.find(aim.group, aim.name)
    if not outcome or not ours:
        return Verdict(aim, None)
    if not aim.against:
        return Verdict(aim, ours.cost, ours.unit.cost)
    other = outcome.find(aim.group, aim.against)
    if not other:
        return Verdict(aim, None)
    compiled = outcome.find(aim.group, COMPILED) if aim.name == OURS else None
    return Verdict(
        aim,
        ours.ratio(other),
        quartiles=ours.quartiles(other) if ours.paired else None,
        compiled=compiled.ratio(other) if compiled else None,
    )

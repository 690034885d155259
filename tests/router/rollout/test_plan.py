"""Plans: whose nodes are withdrawn how, in which order, and what speaks against it."""

from dataclasses import replace

import pytest

from tests.router.rollout.seen import ROUTER, World, place_of
from uwsgi_router.router.rollout.mapping import NodeMap
from uwsgi_router.router.rollout.observer import SeenControl, VassalSource
from uwsgi_router.router.rollout.plan import Planner, RolloutPlan, text_of
from uwsgi_router.router.rollout.settings import RolloutSettings
from uwsgi_router.router.rollout.views import Moment, RouterView, SeenNode

SETTINGS = RolloutSettings("/etc/vassals", "/run/emperor.sock", (ROUTER,))
NODES = frozenset({("example.com", "/run/a.sock"), ("example.com", "/run/b.sock")})
CONTROL = SeenControl("/run/control.sock", 77, NODES)


def source(name: str, **changes: object) -> VassalSource:
    one = VassalSource(name, f"{name}.ini", f"/etc/vassals/{name}.ini")
    return replace(one, **changes)  # type: ignore[arg-type]


def plan_of(
    world: World,
    *sources: VassalSource,
    settings: RolloutSettings = SETTINGS,
    controls: tuple[SeenControl, ...] = (),
    moment: Moment | None = None,
    kept_out: frozenset[str] = frozenset(),
) -> RolloutPlan:
    return Planner(
        settings,
        moment or world.moment(),
        sources,
        controls,
        kept_out,
        NodeMap(lambda _pid: (), settings.nodes),
        {90: 77}.get,  # type: ignore[arg-type]
    ).plan()


def with_router(world: World, **changes: object) -> Moment:
    moment = world.moment()
    router = replace(moment.routers[0], **changes)  # type: ignore[arg-type]
    return replace(moment, routers=(router,))


BOTH = source("a"), source("b")


def test_nodes_are_withdrawn_over_the_control_socket_of_their_router() -> None:
    world = World.of("a", "b")
    # Of the process itself, of the parent of the one that tells the statistics, or the only one there is.
    for pid in (77, 90, 1):
        plan = plan_of(world, *BOTH, controls=(CONTROL,), moment=with_router(world, pid=pid))
        assert plan.refusals == ()
        assert plan.controls["a"] == [("/run/control.sock", "/run/a.sock")]
        assert all(one.withdrawn for one in plan.vassals)
    other = replace(CONTROL, path="/run/other.sock", pid=78)
    plan = plan_of(world, *BOTH, controls=(CONTROL, other), moment=with_router(world, pid=78))
    assert plan.controls["b"] == [("/run/other.sock", "/run/b.sock")]
    plan = plan_of(world, *BOTH, controls=(CONTROL, other), moment=with_router(world, pid=1))
    assert plan.controls == {}
    assert "name its control socket" in plan.ways[ROUTER]


def test_a_router_of_uwsgi_has_none() -> None:
    world = World.of("a", "b")
    moment = with_router(world, version="2.0.31", pid=77)
    plan = plan_of(world, *BOTH, controls=(CONTROL,), moment=moment)
    assert not any(one.withdrawn for one in plan.vassals)
    assert "--fifo PATTERN does more" in plan.ways[ROUTER]
    settings = replace(SETTINGS, fifo="/run/%n.fifo")
    plan = plan_of(world, *BOTH, settings=settings, moment=moment)
    assert plan.fifos == {"a": "/run/a.fifo", "b": "/run/b.fifo"}
    world.node("a", alive=False)
    moment = with_router(world, version="2.0.31")
    # It announces nothing as it is: the byte would make it.
    assert plan_of(world, *BOTH, settings=settings, moment=moment).fifos == {"b": "/run/b.fifo"}


def test_a_control_socket_that_can_not_be_asked_is_a_reason() -> None:
    broken = SeenControl("/run/x.sock", trouble="no router listens there")
    plan = plan_of(World.of("a", "b"), *BOTH, controls=(broken,))
    assert plan.refusals == ("/run/x.sock: no router listens there",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"link": True, "there": False}, "a.ini is a link to nothing"),
        ({"ours": False}, "a.ini belongs to somebody else"),
        ({"link": True, "mtime": 999_000, "link_mtime": 5}, "start it with emperor-nofollow"),
    ],
)
def test_files_that_can_not_be_touched(changes: dict[str, object], reason: str) -> None:
    plan = plan_of(World.of("a", "b"), source("a", **changes), source("b"))
    assert len(plan.refusals) == 1
    assert reason in plan.refusals[0]


def test_links_that_the_emperor_does_not_follow_are_well() -> None:
    files = source("a", link=True, mtime=5, link_mtime=999_000), source("b")
    assert plan_of(World.of("a", "b"), *files).refusals == ()
    same = source("a", link=True, mtime=999_000, link_mtime=999_000), source("b")
    assert plan_of(World.of("a", "b"), *same).refusals == ()


def test_a_vassal_without_a_node() -> None:
    world = World.of("a", "b", "c")
    del world.nodes[place_of("c")]
    files = *BOTH, source("c")
    plan = plan_of(world, *files)
    assert plan.refusals == (
        f"c has no node at {ROUTER}: name it with --node c=ADDRESS, or --allow-unrouted",
    )
    plan = plan_of(world, *files, settings=replace(SETTINGS, unrouted=True, minimum=0))
    assert plan.refusals == ()
    assert [one.routed for one in plan.vassals] == [True, True, False]
    # One that is down may get one.
    world.vassal("c", accepting=False)
    plan = plan_of(world, *files)
    assert plan.refusals == ()
    assert [one.name for one in plan.vassals] == ["c", "a", "b"]


def test_a_pool_that_is_too_small() -> None:
    plan = plan_of(World.of("a"), source("a"))
    (reason,) = plan.refusals
    assert reason == (
        "without a, 0 other nodes of example.com would be in service, and there have to be 1"
        " (--minimum-active-vassals)"
    )
    assert plan_of(World.of("a"), source("a"), settings=replace(SETTINGS, minimum=0)).refusals == ()


def test_only_what_is_meant() -> None:
    world = World.of("a", "b")
    plan = plan_of(world, *BOTH, settings=replace(SETTINGS, only=("b*",)))
    assert [one.name for one in plan.vassals] == ["b"]
    plan = plan_of(world, *BOTH, settings=replace(SETTINGS, only=("c",)))
    assert plan.refusals == ("no vassal of /etc/vassals is meant: there are a, b",)
    world.nodes[place_of("a", key="other")] = SeenNode(place_of("a", key="other"))
    plan = plan_of(world, *BOTH, settings=replace(SETTINGS, key="other", minimum=0))
    assert [one.name for one in plan.vassals] == ["a"]
    assert plan_of(world).refusals == ("no file of /etc/vassals ends in .ini",)


def test_what_was_drained_before_stays_so_unless_a_rollout_did_that() -> None:
    world = World.of("a", "b")
    world.node("a", drained=True)
    assert plan_of(world, *BOTH, controls=(CONTROL,)).vassals[0].stays_drained
    kept_out = frozenset({"/run/a.sock"})
    assert (
        not plan_of(world, *BOTH, controls=(CONTROL,), kept_out=kept_out).vassals[0].stays_drained
    )


def test_applications_of_our_emperor_roll_themselves() -> None:
    world = World.of("a", "b")
    files = source("a", applications=True), source("b")
    moment = world.moment()
    ours = replace(moment, emperor=replace(moment.emperor, version="uwsgi-router 0"))
    plan = plan_of(world, *files, controls=(CONTROL,), moment=ours)
    assert [(one.rolls_itself, one.withdrawn) for one in plan.vassals] == [
        (True, False),
        (False, True),
    ]
    plan = plan_of(world, *files, controls=(CONTROL,))
    assert not any(one.rolls_itself for one in plan.vassals)


def test_the_text_of_a_plan() -> None:
    world = World.of("a", "b")
    plan = plan_of(world, *BOTH, controls=(CONTROL,))
    assert text_of(plan, SETTINGS, world.moment()) == [
        "Emperor of /etc/vassals: process 1, version 2.0.31",
        f"router {ROUTER}, version uwsgi-router 0: nodes are withdrawn and drained over /run/control.sock",
        "1. a: /run/a.sock (example.com): drain; touch /etc/vassals/a.ini; GET /; return",
        "2. b: /run/b.sock (example.com): drain; touch /etc/vassals/b.ini; GET /; return",
        f"example.com at {ROUTER}: 2 nodes serve, never fewer than 1",
        (
            "the first one alone, then up to 1 at once; each has 60 s to drain, and 60 s from the touch"
            " to its end"
        ),
    ]
    assert isinstance(world.moment().routers[0], RouterView)

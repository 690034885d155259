"""Steps of a rollout, its failures, and in any order of events: never fewer nodes than the minimum because of it."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.router.rollout.seen import ROUTER, World, place_of, planned
from uwsgi_router.router.rollout.actions import (
    CheckVassal,
    KeepOutVassal,
    RestoreVassal,
    ReturnVassal,
    RolloutAction,
    ToldStep,
    TouchVassal,
    WithdrawVassal,
)
from uwsgi_router.router.rollout.machine import PAUSE, RolloutMachine
from uwsgi_router.router.rollout.planned import PlannedVassal, RolloutLimits, order
from uwsgi_router.router.rollout.views import Moment, NodePlace, SeenNode, Throttling


class Steps:
    """A machine over a world, a step at a time."""

    def __init__(self, *vassals: PlannedVassal, limits: RolloutLimits | None = None) -> None:
        limits = limits or RolloutLimits(most=3)
        self.world = World.of(*(one.name for one in vassals))
        self.now = 0.0
        self.found: frozenset[NodePlace] = frozenset()
        self.machine = RolloutMachine(vassals, limits, lambda _vassal, _moment: self.found)

    def step(self, seconds: float = 0.1, *, blind: bool = False) -> list[RolloutAction]:
        """Let time pass; what is to be done now, without what people are told."""
        self.now += seconds
        self.world.wall += seconds
        actions = self.machine.step(None if blind else self.world.moment(), self.now)
        self.told = [action for action in actions if isinstance(action, ToldStep)]
        return [action for action in actions if not isinstance(action, ToldStep)]

    def withdraw(self, name: str) -> None:
        """It is withdrawn and drained, and touched."""
        self.world.node(name, drained=True)
        self.machine.withdrawn(name)

    def reload(self, name: str) -> None:
        """From the withdrawal until it accepts."""
        self.withdraw(name)
        (touch,) = self.step()
        assert isinstance(touch, TouchVassal)
        self.world.reload(name, touch.mtime)
        assert self.step() == []
        self.world.vassal(name, accepting=True)
        (check,) = self.step()
        assert isinstance(check, CheckVassal)

    def return_(self, name: str) -> None:
        """From the answer of its check until it serves."""
        self.machine.checked(name, "", self.now)
        assert self.step() == []
        self.world.announce(name)
        assert self.step() == [ReturnVassal(name)]
        self.world.node(name, drained=False)


def test_a_vassal_is_withdrawn_touched_asked_and_returned() -> None:
    steps = Steps(planned("a"), planned("b"))
    assert steps.step() == [WithdrawVassal("a")]
    assert steps.step() == []
    steps.reload("a")
    steps.return_("a")
    assert steps.step() == [WithdrawVassal("b")]
    assert steps.machine.steps == {"a": "reloaded", "b": "withdrawing"}
    steps.reload("b")
    steps.return_("b")
    assert steps.step() == []
    assert steps.machine.finished
    assert steps.machine.failed is None


def test_the_time_of_a_file_is_later_than_what_the_emperor_knows() -> None:
    steps = Steps(planned("a", withdrawn=False), planned("b"))
    steps.world.vassal("a", last_mod=1_000_000)
    assert steps.step() == [TouchVassal("a", 1_000_001.0)]
    steps = Steps(planned("a", withdrawn=False), planned("b"))
    assert steps.step(0.5) == [TouchVassal("a", 1_000_000.5)]


def test_the_first_one_is_alone_and_then_more_and_more_at_once() -> None:
    names = "abcdefgh"
    steps = Steps(*map(planned, names), limits=RolloutLimits(minimum=2, most=6))
    assert steps.step() == [WithdrawVassal("a")]
    steps.reload("a")
    steps.return_("a")
    assert steps.step() == [WithdrawVassal("b"), WithdrawVassal("c")]
    for name in "bc":
        steps.world.node(name, drained=True)
    steps.reload("b")
    steps.machine.checked("b", "", steps.now)
    steps.world.announce("b")
    assert ReturnVassal("b") in steps.step()
    steps.world.node("b", drained=False)
    assert steps.step() == [WithdrawVassal("d"), WithdrawVassal("e")]


def test_nothing_is_begun_that_would_leave_too_few() -> None:
    steps = Steps(planned("a"), planned("b"), limits=RolloutLimits(minimum=2, timeout=5))
    assert steps.step() == []
    assert steps.step(4) == []
    other = NodePlace(ROUTER, "example.com", "10.0.0.9:1")
    steps.world.nodes[other] = SeenNode(other)
    assert steps.step() == [WithdrawVassal("a")]
    del steps.world.nodes[other]
    steps.machine.withdrawn("a")
    # The other one left while it drained: this one is needed.
    assert steps.step() == [RestoreVassal("a")]
    steps.step(4.5)
    assert steps.step(0.6) == [RestoreVassal("a")]
    assert steps.machine.failed is not None
    assert steps.machine.failed[1] == (
        "1 other nodes of example.com would be in service, and there have to be 2"
        " (--minimum-active-vassals)"
    )
    assert steps.machine.steps == {"a": "failed", "b": "untouched"}


def test_a_vassal_that_serves_nobody_takes_nothing_from_anybody() -> None:
    steps = Steps(planned("a"), planned("b"), limits=RolloutLimits(minimum=1))
    steps.world.node("b", alive=False)
    ordered = order([planned("a"), planned("b")], steps.world.moment())
    assert [one.name for one in ordered] == ["b", "a"]
    machine = RolloutMachine(ordered, RolloutLimits(), lambda *_: frozenset())
    actions = machine.step(steps.world.moment(), 0.0)
    assert WithdrawVassal("b") in actions


def test_a_drain_that_takes_too_long_ends_it_and_nothing_was_touched() -> None:
    steps = Steps(planned("a"), planned("b"))
    steps.step()
    steps.machine.withdrawn("a", "it still has 1 requests")
    assert steps.step() == [RestoreVassal("a")]
    assert steps.machine.failed == ("a", "it still has 1 requests")
    assert steps.machine.finished


def test_others_that_are_being_withdrawn_are_restored_at_the_first_failure() -> None:
    steps = Steps(*map(planned, "abcd"))
    steps.step()
    steps.reload("a")
    steps.return_("a")
    assert steps.step() == [WithdrawVassal("b"), WithdrawVassal("c")]
    steps.machine.withdrawn("b", "it can't be")
    assert steps.step() == [RestoreVassal("b"), RestoreVassal("c")]
    assert steps.machine.steps == {
        "a": "reloaded",
        "b": "failed",
        "c": "untouched",
        "d": "untouched",
    }


@pytest.mark.parametrize("told", [True, False])
def test_a_vassal_that_ends_after_its_reload_has_failed_at_once(told: bool) -> None:
    steps = Steps(planned("a"), planned("b"))
    steps.step()
    steps.withdraw("a")
    steps.step()
    if told:
        ended = {"last_end": "exit code 1", "last_end_at": int(steps.world.wall)}
        steps.world.vassal("a", accepting=False, **ended)
    else:
        del steps.world.vassals["a.ini"]
        steps.world.throttled["a.ini"] = Throttling(0, int(steps.world.wall), 0.001)
    assert steps.step() == [KeepOutVassal("a")]
    why = "it ended after the reload" + (": exit code 1" if told else "")
    assert steps.machine.failed == ("a", why)


def test_what_had_ended_before_is_no_failure() -> None:
    steps = Steps(planned("a"), planned("b"))
    steps.world.vassal("a", last_end="exit code 1", last_end_at=999_000)
    steps.world.throttled["a.ini"] = Throttling(3, 999_000, 1.0)
    steps.step()
    steps.reload("a")
    assert steps.machine.failed is None


@pytest.mark.parametrize("change", ["gone", "cursed", "silent"])
def test_a_vassal_that_ends_after_it_has_accepted_has_failed(change: str) -> None:
    steps = Steps(planned("a"), planned("b"))
    steps.step()
    steps.reload("a")
    if change == "gone":
        del steps.world.vassals["a.ini"]
    else:
        steps.world.vassal("a", cursed=change == "cursed", accepting=change == "cursed")
    assert steps.step() == [KeepOutVassal("a")]
    assert steps.machine.failed == ("a", "it ended after it had accepted")


def test_two_bad_answers_are_a_failure_and_silence_is_waited_for() -> None:
    steps = Steps(planned("a"), planned("b"))
    steps.step()
    steps.reload("a")
    for _ in range(5):
        steps.machine.checked("a", "nobody is there", steps.now)
        assert steps.step() == []
        (again,) = steps.step(PAUSE)
        assert again == CheckVassal("a", (steps.world.nodes[place_of("a")],))
    steps.machine.checked("a", "500", steps.now, answered=True)
    steps.step(PAUSE)
    steps.machine.checked("a", "500", steps.now, answered=True)
    assert steps.step() == [KeepOutVassal("a")]
    assert steps.machine.failed == ("a", "500")


def test_a_node_that_was_not_announced_since_then_is_waited_for() -> None:
    steps = Steps(planned("a"), planned("b"))
    steps.world.wall += 10
    steps.step()
    steps.reload("a")
    steps.machine.checked("a", "", steps.now)
    assert steps.step() == []
    assert steps.machine.steps["a"] == "announcing"
    steps.world.node("a", last_check=int(steps.world.wall), unhealthy="no answer")
    assert steps.step() == []
    assert steps.step(60) == [KeepOutVassal("a")]
    assert steps.told[0].timeout
    assert steps.machine.failed == (
        "a",
        "/run/a.sock is not announced as example.com at /run/router.sock (no answer)",
    )


def test_a_node_that_comes_back_at_another_address_is_taken_for_it() -> None:
    steps = Steps(planned("a"), planned("b"))
    steps.step()
    steps.reload("a")
    steps.machine.checked("a", "", steps.now)
    moved = place_of("moved")
    steps.world.node("a", alive=False)
    steps.found = frozenset({moved})
    assert steps.step() == []
    steps.world.announce("moved")
    assert steps.step() == [ReturnVassal("a"), WithdrawVassal("b")]


def test_one_in_another_pool_is_not() -> None:
    steps = Steps(planned("a"), planned("b"))
    steps.step()
    steps.reload("a")
    steps.machine.checked("a", "", steps.now)
    steps.world.node("a", alive=False)
    other = place_of("a", key="other")
    steps.world.nodes[other] = SeenNode(other, last_check=2_000_000)
    steps.found = frozenset({other})
    assert steps.step() == []


def test_each_deadline_says_what_was_missing() -> None:
    steps = Steps(planned("a", withdrawn=False), planned("b"))
    steps.step()
    assert steps.step(60) == [KeepOutVassal("a")]
    assert steps.machine.failed == (
        "a",
        "the Emperor has not seen the change of its file (links need emperor-nofollow)",
    )
    steps = Steps(planned("a", withdrawn=False), planned("b"))
    (touch,) = steps.step()
    assert isinstance(touch, TouchVassal)
    steps.world.reload("a", touch.mtime)
    steps.step(60)
    assert steps.machine.failed == ("a", "it does not accept requests")
    steps = Steps(planned("a", withdrawn=False), planned("b"))
    steps.step()
    del steps.world.vassals["a.ini"]
    steps.step(60)
    assert steps.machine.failed == ("a", "the Emperor does not run it")
    steps = Steps(planned("a", withdrawn=False), planned("b"))
    steps.step()
    steps.step(60, blind=True)
    assert steps.machine.failed == ("a", "the statistics do not tell what became of it")


def test_a_sleeping_vassal_is_touched_and_that_is_all() -> None:
    steps = Steps(planned("a", places=frozenset(), routed=False, withdrawn=False), planned("b"))
    steps.world.vassal("a", on_demand="/run/a.sock", pid=-1, accepting=False)
    (touch,) = steps.step()
    assert isinstance(touch, TouchVassal)
    steps.world.vassal("a", last_mod=int(touch.mtime))
    assert steps.step() == [WithdrawVassal("b")]
    assert steps.told[0] == ToldStep(
        "a", "reloaded", "it sleeps, and starts anew when somebody connects"
    )


def test_vassals_without_nodes_only_have_to_accept() -> None:
    bare = {"places": frozenset(), "routed": False, "withdrawn": False}
    steps = Steps(planned("a", **bare), planned("b", **bare))
    (touch,) = steps.step()
    assert isinstance(touch, TouchVassal)
    steps.world.reload("a", touch.mtime)
    assert steps.step() == []
    steps.world.vassal("a", accepting=True)
    (second,) = steps.step()
    assert isinstance(second, TouchVassal)
    assert second.name == "b"
    steps = Steps(planned("a", **bare), planned("b", **bare), limits=RolloutLimits(minimum=2))
    assert steps.step() == []


def test_a_file_that_can_not_be_touched_is_a_failure_at_once() -> None:
    steps = Steps(planned("a"), planned("b"))
    steps.step()
    steps.withdraw("a")
    steps.step()
    steps.machine.broke("a", "it is gone")
    assert steps.step() == [RestoreVassal("a")]
    assert steps.machine.failed == ("a", "it is gone")


def test_an_interrupt_finishes_what_is_being_reloaded() -> None:
    steps = Steps(planned("a"), planned("b"))
    steps.step()
    steps.machine.stop()
    steps.reload("a")
    steps.return_("a")
    assert steps.step() == []
    assert steps.machine.steps == {"a": "reloaded", "b": "untouched"}
    assert steps.machine.finished


def test_a_second_one_gives_back_what_was_withdrawn() -> None:
    steps = Steps(planned("a"), planned("b"))
    steps.step()
    assert RestoreVassal("a") in steps.machine.abandon()
    assert steps.machine.finished
    assert steps.machine.steps == {"a": "failed", "b": "untouched"}


NAMES = "abcde"


class AnyOrder(RuleBasedStateMachine):
    """Any order of events: what vassals, routers, drains and checks do, and what dies meanwhile."""

    @initialize(minimum=st.integers(0, 3), most=st.integers(1, 5), withdrawn=st.booleans())
    def start(self, minimum: int, most: int, withdrawn: bool) -> None:
        self.minimum = minimum
        plans = [planned(name, withdrawn=withdrawn) for name in NAMES]
        self.world = World.of(*NAMES)
        self.limits = RolloutLimits(minimum, most, timeout=30)
        self.machine = RolloutMachine(plans, self.limits, lambda *_: frozenset())
        self.now = 0.0
        self.withdrawing: set[str] = set()
        self.asked: set[str] = set()
        self.touched: dict[str, float] = {}
        self.failures = 0

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0]), blind=st.booleans())
    def look(self, seconds: float, blind: bool) -> None:
        self.now += seconds
        self.world.wall += seconds
        before = self.machine.failed
        self.do(self.machine.step(None if blind else self.world.moment(), self.now), before)

    def do(self, actions: list[RolloutAction], failed: object) -> None:
        for action in actions:
            match action:
                case WithdrawVassal(name):
                    assert failed is None, "nothing is begun after a failure"
                    self.leaves(name)
                    self.withdrawing.add(name)
                    self.world.node(name, drained=True)
                case TouchVassal(name, mtime):
                    assert mtime >= self.world.vassals[f"{name}.ini"].last_mod + 1
                    if name not in self.withdrawing:
                        assert failed is None
                        self.leaves(name)
                    self.withdrawing.discard(name)
                    self.touched[name] = mtime
                case RestoreVassal(name) | ReturnVassal(name):
                    self.withdrawing.discard(name)
                    self.world.node(name, drained=False)
                case CheckVassal(name, _):
                    self.asked.add(name)
                case KeepOutVassal(name):
                    assert name in self.touched, "only what was touched is left out"
                case _:
                    pass

    def leaves(self, name: str) -> None:
        """A vassal that serves leaves now; so many others have to serve, and not be on their way."""
        if not self.world.nodes[place_of(name)].serving:
            return
        on_their_way = {
            other
            for other, step in self.machine.steps.items()
            if step in {"withdrawing", "reloading", "checking", "announcing", "returning"}
        }
        left = [
            other
            for other in NAMES
            if other != name
            and other not in on_their_way
            and self.world.nodes[place_of(other)].serving
        ]
        assert len(left) >= self.minimum

    @precondition(lambda self: self.withdrawing)
    @rule(data=st.data(), well=st.booleans())
    def drained(self, data: st.DataObject, well: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.withdrawing)))
        if self.machine.steps[name] == "withdrawing":
            self.machine.withdrawn(name, "" if well else "it has requests")

    @precondition(lambda self: self.touched)
    @rule(data=st.data())
    def reloads(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.touched)))
        self.world.reload(name, self.touched[name])

    @rule(name=st.sampled_from(NAMES))
    def accepts(self, name: str) -> None:
        self.world.vassal(name, accepting=True)

    @rule(name=st.sampled_from(NAMES))
    def announces(self, name: str) -> None:
        self.world.announce(name)

    @rule(name=st.sampled_from(NAMES))
    def leaves_by_itself(self, name: str) -> None:
        self.world.node(name, alive=False)

    @rule(name=st.sampled_from(NAMES), healthy=st.booleans())
    def changes_its_health(self, name: str, healthy: bool) -> None:
        self.world.node(name, unhealthy="" if healthy else "no answer")

    @rule(name=st.sampled_from(NAMES))
    def dies(self, name: str) -> None:
        self.world.vassal(name, accepting=False)
        self.world.throttled[f"{name}.ini"] = Throttling(1, int(self.world.wall), 1.0)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), trouble=st.sampled_from(["", "", "500", "silence"]))
    def answers(self, data: st.DataObject, trouble: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.asked)))
        self.asked.discard(name)
        self.machine.checked(name, trouble, self.now, answered=trouble == "500")

    @rule()
    def interrupted(self) -> None:
        self.machine.stop()

    @invariant()
    def no_more_at_once_than_allowed(self) -> None:
        working = [
            name
            for name, step in self.machine.steps.items()
            if step in {"withdrawing", "reloading", "checking", "announcing", "returning"}
        ]
        assert len(working) <= self.limits.most
        if not self.machine.count("reloaded"):
            assert len(working) <= 1

    def teardown(self) -> None:
        """It always comes to an end, whatever was withdrawn is back, or was touched and has failed."""
        for _ in range(200):
            for name in sorted(self.withdrawing):
                if self.machine.steps[name] == "withdrawing":
                    self.machine.withdrawn(name, "it has requests")
            if self.machine.finished:
                break
            self.look(10.0, False)
        assert self.machine.finished
        for name, step in self.machine.steps.items():
            if self.world.nodes[place_of(name)].drained:
                assert step == "failed"
                assert name in self.touched


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_order_is_by_name_behind_those_that_are_down() -> None:
    world = World.of("a", "b", "c")
    world.node("c", drained=True)
    bare = replace(planned("a"), places=frozenset())
    assert [one.name for one in order([bare, planned("b"), planned("c")], world.moment())] == [
        "c",
        "a",
        "b",
    ]
    assert isinstance(world.moment(), Moment)

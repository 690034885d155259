"""The state machine of an application: rules that hold whatever happens, and what happens in order."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from uwsgi_router.subscriptions.application.actions import (
    Action,
    AnnounceCopy,
    AppEnded,
    CheckCopy,
    RolloutEnded,
    ShowStacks,
    StartCopy,
    StopCopy,
    WithdrawCopy,
)
from uwsgi_router.subscriptions.application.copies import CopyState
from uwsgi_router.subscriptions.application.machine import ApplicationMachine
from uwsgi_router.subscriptions.application.plan import CopyPolicy


class Program:
    """A machine, and the world that carries its actions out at once and without a fault, unless told otherwise."""

    def __init__(self, **policy: object) -> None:
        self.machine = ApplicationMachine(CopyPolicy(**policy), chance=lambda: 0.0)  # type: ignore[arg-type]
        self.now = 1000.0
        self.actions: list[Action] = []
        self.broken = False
        self.running: set[int] = set()

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            self.actions.append(action)
            match action:
                case StartCopy(number):
                    self.running.add(number)
                case CheckCopy(number):
                    if self.broken and number > self.good:
                        self.running.discard(number)
                        self.take(self.machine.died(number, "exit code 1", 1, self.now))
                    else:
                        self.take(self.machine.checked(number, None, self.now))
                case AnnounceCopy(number):
                    self.take(self.machine.announced(number, self.now))
                case WithdrawCopy(number):
                    self.take(self.machine.drained(number, self.now))
                case StopCopy(number):
                    self.running.discard(number)
                    self.take(self.machine.died(number, "exit code 0", 0, self.now))
                case _:
                    pass

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.machine.due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.take(self.machine.tick(self.now))
        self.now = end
        self.take(self.machine.tick(end))

    def break_build(self) -> None:
        """Copies that are started from now on do not start."""
        self.broken, self.good = True, max(self.machine.copies, default=0)

    good = 0

    @property
    def serving(self) -> list[int]:
        return [copy.number for copy in self.machine.copies.values() if copy.serves]

    def ends(self) -> list[RolloutEnded]:
        return [action for action in self.actions if isinstance(action, RolloutEnded)]


def started(**policy: object) -> Program:
    program = Program(**policy)
    program.pass_time(1)
    return program


def test_all_copies_start_at_once() -> None:
    assert started(replicas=3).serving == [1, 2, 3]


def test_a_rollout_replaces_one_after_the_other() -> None:
    program = started()
    generation, actions = program.machine.rollout(program.now)
    program.take(actions)
    program.actions.clear()
    program.pass_time(1)
    order = [
        (type(action).__name__, action.number)
        for action in program.actions
        if isinstance(action, AnnounceCopy | WithdrawCopy | StartCopy)
    ]
    assert order == [
        ("AnnounceCopy", 3), ("WithdrawCopy", 1), ("StartCopy", 4), ("AnnounceCopy", 4), ("WithdrawCopy", 2),
    ]  # fmt: skip
    assert program.ends() == [RolloutEnded(generation)]
    assert program.serving == [3, 4]


def test_with_surge_all_new_copies_serve_before_an_old_one_leaves() -> None:
    program = started()
    _, actions = program.machine.rollout(program.now, surge=True)
    program.take(actions)
    program.pass_time(1)
    names = [type(action).__name__ for action in program.actions]
    assert names.index("WithdrawCopy") > [i for i, n in enumerate(names) if n == "AnnounceCopy"][3]
    assert program.serving == [3, 4]


def test_a_broken_build_ends_the_rollout_and_the_old_copies_go_on() -> None:
    program = started()
    program.break_build()
    generation, actions = program.machine.rollout(program.now)
    program.take(actions)
    program.pass_time(60)
    assert program.ends() == [RolloutEnded(generation, "exit code 1", 3, goes_back=True)]
    assert program.serving == [1, 2]
    assert program.running == {1, 2}


def test_a_broken_build_with_surge_leaves_the_old_copies() -> None:
    program = started()
    program.break_build()
    program.good += 1  # the first new copy works
    _, actions = program.machine.rollout(program.now, surge=True)
    program.take(actions)
    program.pass_time(60)
    assert [end.reason for end in program.ends()] == ["exit code 1"]
    assert program.serving == [1, 2]


def test_a_rollout_may_bring_another_policy() -> None:
    program = started()
    _, actions = program.machine.rollout(program.now, policy=CopyPolicy(replicas=3))
    program.take(actions)
    program.pass_time(1)
    assert len(program.serving) == 3
    _, actions = program.machine.rollout(program.now, policy=CopyPolicy(replicas=1))
    program.take(actions)
    program.pass_time(1)
    assert len(program.serving) == 1


def test_the_policy_of_a_rollout_that_fails_is_given_up() -> None:
    program = started()
    program.break_build()
    _, actions = program.machine.rollout(program.now, policy=CopyPolicy(replicas=3))
    program.take(actions)
    program.pass_time(60)
    assert [end.goes_back for end in program.ends()] == [True]
    assert program.machine.policy.replicas == 2
    assert program.serving == [1, 2]


def test_without_old_copies_a_rollout_that_fails_goes_on_with_what_it_brought() -> None:
    program = Program(replicas=1)
    program.break_build()
    _, actions = program.machine.rollout(program.now, policy=CopyPolicy(replicas=2))
    program.take(actions)
    program.pass_time(5)
    assert [end.goes_back for end in program.ends()] == [False]
    program.broken = False
    program.pass_time(60)
    assert len(program.serving) == 2


def test_of_policies_for_a_rollout_that_follows_the_last_one_counts() -> None:
    program = started()
    _, actions = program.machine.rollout(program.now)
    for replicas in (5, 1):
        generation, more = program.machine.rollout(
            program.now, policy=CopyPolicy(replicas=replicas)
        )
        actions += more
    program.take(actions)
    program.pass_time(5)
    assert program.machine.generation == generation
    assert len(program.serving) == 1


def test_numbers_go_on_behind_those_that_were_given_before() -> None:
    machine = ApplicationMachine(CopyPolicy(replicas=1), count=4)
    assert machine.tick(0.0) == [StartCopy(5)]


def test_a_second_rollout_follows_the_first() -> None:
    program = started()
    first, actions = program.machine.rollout(program.now)
    second, none = program.machine.rollout(program.now)
    third, _ = program.machine.rollout(program.now)
    assert (second, third, none) == (first + 1, first + 1, [])
    program.take(actions)
    program.pass_time(5)
    assert program.ends() == [RolloutEnded(first), RolloutEnded(second)]
    assert {copy.generation for copy in program.machine.copies.values()} == {second}


def test_one_that_dies_is_replaced_with_back_off() -> None:
    program = started()
    for _ in range(4):
        number = program.serving[-1]
        program.running.discard(number)
        program.take(program.machine.died(number, "signal 9", 137, program.now))
        program.pass_time(5)
        assert len(program.serving) == 2
    delays = [
        getattr(a, "text", "") for a in program.actions if "starts in" in getattr(a, "text", "")
    ]
    assert delays == [f"another copy starts in {d:.1f} s" for d in (0.25, 0.5, 1, 2)]


def test_one_that_served_long_is_replaced_at_once() -> None:
    program = started()
    program.pass_time(20)
    program.running.discard(1)
    program.take(program.machine.died(1, "signal 9", 137, program.now))
    assert list(program.machine.copies) == [2, 3]


def test_copies_are_recycled_by_requests_one_at_a_time() -> None:
    program = started(max_requests=100)
    for number in (1, 2):
        program.take(program.machine.measured(number, program.now, requests=99))
    assert len(program.machine.copies) == 2
    for number in (1, 2):
        program.take(program.machine.measured(number, program.now, requests=100))
    assert list(program.machine.copies) == [1, 2, 3]
    program.pass_time(1)
    assert program.serving == [3, 4]


def test_copies_are_recycled_by_age_and_memory() -> None:
    program = started(max_age=100, max_rss=2**20, check_every=0)
    program.pass_time(50)
    program.take(program.machine.measured(2, program.now, rss=2**21))
    program.pass_time(1)
    assert program.serving == [1, 3]
    program.pass_time(60)
    assert program.serving == [3, 4]


def test_one_that_is_not_healthy_three_times_is_replaced() -> None:
    program = started(check_every=0)
    for _ in range(3):
        assert program.serving == [1, 2]
        program.take(program.machine.checked(1, "503", program.now))
    program.pass_time(1)
    assert program.serving == [2, 3]


def test_one_that_is_stuck_shows_its_stacks_and_is_replaced() -> None:
    program = started()
    program.take(program.machine.stuck(1, 30.0, program.now))
    assert ShowStacks(1) in program.actions
    program.pass_time(1)
    assert program.serving == [2, 3]


def test_a_start_that_fails_again_and_again_ends_it() -> None:
    program = Program(attempts=3)
    program.break_build()
    program.pass_time(60)
    assert AppEnded(1) in program.actions
    assert program.machine.copies == {}


def test_a_copy_that_hangs_at_its_start_is_killed() -> None:
    machine = ApplicationMachine(CopyPolicy(replicas=1, start_timeout=5, mercy=2, check_every=0))
    assert machine.tick(0) == [StartCopy(1)]
    assert CheckCopy(1, warm=True) in machine.tick(1)
    machine.checked(1, "refused", 1)
    assert StopCopy(1) in machine.tick(5)
    assert StopCopy(1, kill=True) in machine.tick(7)


def test_a_stop_without_drain_terminates_and_ends_with_the_last() -> None:
    program = started()
    program.take(program.machine.stop(program.now, drain=False))
    assert program.actions[-1] == AppEnded(0)
    assert not any(isinstance(action, WithdrawCopy) for action in program.actions)


def test_a_stop_with_drain_withdraws_first() -> None:
    program = started(replicas=1)
    program.take(program.machine.stop(program.now, drain=True))
    assert [a for a in program.actions if isinstance(a, WithdrawCopy)]
    assert program.actions[-1] == AppEnded(0)


def test_without_restart_its_end_is_the_applications() -> None:
    program = started(replicas=1, restart=False)
    program.take(program.machine.died(1, "exit code 7", 7, program.now))
    assert program.actions[-1] == AppEnded(7)


class Application(RuleBasedStateMachine):
    """Any order of events: checks that fail, deaths, rollouts, recycling; time passes."""

    @initialize(replicas=st.integers(1, 4), surge=st.booleans())
    def begin(self, replicas: int, surge: bool) -> None:
        self.policy = CopyPolicy(replicas=replicas, surge=surge, max_requests=10)
        self.machine = ApplicationMachine(self.policy)
        self.now = 0.0
        self.started: set[int] = set()
        self.reaped: set[int] = set()
        self.ended: Counter[int] = Counter()
        self.asked: set[int] = set()
        self.over = False
        self.do(self.machine.tick(self.now))

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartCopy(number):
                    assert number not in self.started
                    assert not self.machine.stopping
                    self.started.add(number)
                case StopCopy(number) | WithdrawCopy(number) | AnnounceCopy(number):
                    assert number in self.started - self.reaped
                case RolloutEnded(generation):
                    self.ended[generation] += 1
                    assert generation in self.asked
                case AppEnded():
                    assert not self.over
                    self.over = True
                case _:
                    pass

    def numbers(self, *states: CopyState) -> list[int]:
        return [n for n, copy in self.machine.copies.items() if not states or copy.state in states]

    def act(self, actions: list[Action], serving_before: int) -> None:
        """Carry actions out; fewer copies than were wanted may serve because of others, not of us."""
        self.do(actions)
        if not self.machine.stopping:
            least = min(self.policy.replicas, serving_before)
            assert self.machine.serving >= least

    def pick(self, data: st.DataObject, *states: CopyState) -> int | None:
        numbers = self.numbers(*states)
        return data.draw(st.sampled_from(numbers)) if numbers else None

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.act(self.machine.tick(self.now), self.machine.serving)

    @rule(data=st.data(), trouble=st.sampled_from([None, None, "refused"]))
    def check(self, data: st.DataObject, trouble: str | None) -> None:
        number = self.pick(data, CopyState.STARTING, CopyState.SERVING)
        if number is not None:
            before = self.machine.serving
            self.act(self.machine.checked(number, trouble, self.now), before)

    @rule(data=st.data())
    def router_has_it(self, data: st.DataObject) -> None:
        number = self.pick(data, CopyState.ANNOUNCED)
        if number is not None:
            self.act(self.machine.announced(number, self.now), self.machine.serving)

    @rule(data=st.data())
    def drained(self, data: st.DataObject) -> None:
        number = self.pick(data, CopyState.DRAINING)
        if number is not None:
            self.act(self.machine.drained(number, self.now), self.machine.serving)

    @rule(data=st.data())
    def dies(self, data: st.DataObject) -> None:
        number = self.pick(data)
        if number is not None:
            self.reaped.add(number)
            before = self.machine.serving - self.machine.copies[number].serves
            self.act(self.machine.died(number, "signal 9", 137, self.now), before)

    @rule(data=st.data(), requests=st.integers(0, 30))
    def requests(self, data: st.DataObject, requests: int) -> None:
        number = self.pick(data, CopyState.SERVING)
        if number is not None:
            before = self.machine.serving
            self.act(self.machine.measured(number, self.now, requests=requests), before)

    @rule(data=st.data())
    def stuck(self, data: st.DataObject) -> None:
        number = self.pick(data, CopyState.SERVING)
        if number is not None:
            self.act(self.machine.stuck(number, 30, self.now), self.machine.serving)

    @precondition(lambda self: not self.machine.stopping)
    @rule(surge=st.booleans())
    def rollout(self, surge: bool) -> None:
        before = self.machine.serving
        generation, actions = self.machine.rollout(self.now, surge=surge)
        self.asked.add(generation)
        self.act(actions, before)

    @rule(drain=st.booleans())
    @precondition(lambda self: len(self.started) > 6)
    def stop(self, drain: bool) -> None:
        self.do(self.machine.stop(self.now, drain=drain))

    @invariant()
    def every_process_is_known_until_it_is_reaped(self) -> None:
        if hasattr(self, "machine"):
            assert set(self.machine.copies) == self.started - self.reaped

    @invariant()
    def no_more_run_than_a_rollout_needs(self) -> None:
        if hasattr(self, "machine"):
            live = sum(copy.is_live for copy in self.machine.copies.values())
            assert live <= 2 * self.policy.replicas + 1

    @invariant()
    def a_rollout_ends_once(self) -> None:
        assert all(count == 1 for count in getattr(self, "ended", Counter()).values())

    def teardown(self) -> None:
        """From any state: with a world without faults all copies serve, and every rollout has ended."""
        if not hasattr(self, "machine"):
            return
        for _ in range(400):
            self.now += 1.0
            self.do(self.machine.tick(self.now))
            for number, copy in tuple(self.machine.copies.items()):
                match copy.state:
                    case CopyState.STARTING:
                        self.do(self.machine.checked(number, None, self.now))
                    case CopyState.ANNOUNCED:
                        self.do(self.machine.announced(number, self.now))
                    case CopyState.DRAINING:
                        self.do(self.machine.drained(number, self.now))
                    case CopyState.STOPPING:
                        self.reaped.add(number)
                        self.do(self.machine.died(number, "exit code 0", 0, self.now))
                    case CopyState.SERVING:
                        self.do(self.machine.checked(number, None, self.now))
        if self.machine.stopping:
            assert self.over
            assert not self.machine.copies
        else:
            assert self.machine.serving == len(self.machine.copies) == self.policy.replicas
            assert not self.machine.rolls
        assert set(self.ended) == self.asked


TestApplication = Application.TestCase
TestApplication.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

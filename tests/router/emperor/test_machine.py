"""State machine of a vassal: rows of its table, times, and that no order of events leads it astray."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from uwsgi_router.router.emperor.machine import (
    DYING,
    IDLE,
    LIVING,
    RUNNING,
    TABLE,
    After,
    VassalAction,
    VassalEvent,
    VassalMachine,
    VassalState,
    VassalTiming,
)

TIMING = VassalTiming(tolerance=30.0, heartbeat=10.0)
E, A, S = VassalEvent, VassalAction, VassalState


def started(**given: bool) -> VassalMachine:
    machine = VassalMachine(TIMING, 0.0)
    assert machine.act(0.0) == (A.START,)
    if given.get("accepting"):
        machine.tell(E.ACCEPTING, 0.0)
    if given.get("loyal"):
        machine.tell(E.LOYAL, 0.0)
    return machine


def test_a_vassal_is_started_at_once() -> None:
    machine = VassalMachine(TIMING, 5.0)
    assert (machine.state, machine.due) == (S.WAITING, 5.0)
    assert machine.act(4.9) == ()
    assert machine.act(5.0) == (A.START,)
    assert (machine.state, machine.due) == (S.STARTING, None)


def test_what_it_says_of_itself_is_noted() -> None:
    machine = started()
    assert machine.tell(E.READY, 1.0) == ()
    assert (machine.ready, machine.accepting, machine.state) == (True, False, S.STARTING)
    machine.tell(E.ACCEPTING, 1.0)
    assert (machine.accepting, machine.state) == (True, S.SERVING)
    machine.tell(E.LOYAL, 1.0)
    assert machine.loyal
    assert not machine.failed


def test_a_reload_keeps_loyalty_and_asks_for_the_rest_anew() -> None:
    machine = started(accepting=True, loyal=True)
    assert machine.tell(E.CHANGED, 1.0) == (A.RELOAD,)
    assert (machine.state, machine.ready, machine.accepting) == (S.RELOADING, False, False)
    assert machine.loyal
    # Its file changes again meanwhile: it may have read it before.
    assert machine.tell(E.CHANGED, 2.0) == (A.RELOAD,)
    machine.tell(E.ACCEPTING, 3.0)
    assert machine.state is S.SERVING


def test_a_crash_of_a_loyal_vassal_starts_it_again_at_once() -> None:
    machine = started(accepting=True, loyal=True)
    assert machine.tell(E.PIPE_CLOSED, 1.0) == ()
    assert (machine.state, machine.due) == (S.CURSED, 31.0)
    assert machine.tell(E.ENDED, 1.0) == ()
    assert (machine.state, machine.next_start) == (S.WAITING, 1.0)
    assert machine.act(1.0) == (A.START,)
    assert not machine.loyal


def test_a_vassal_that_fails_waits_for_its_delay() -> None:
    machine = started()
    assert machine.failed
    machine.tell(E.ENDED, 1.0, delay=7.0)
    assert (machine.state, machine.next_start) == (S.THROTTLED, 8.0)
    assert machine.act(7.9) == ()
    assert machine.act(8.0) == (A.START,)


@pytest.mark.parametrize("event", [E.CHANGED, E.RESET, E.START, E.RELOAD])
def test_a_delay_ends_when_the_file_changes_or_an_operator_says_so(event: VassalEvent) -> None:
    machine = started()
    machine.tell(E.ENDED, 1.0, delay=70.0)
    assert machine.tell(event, 2.0) == ()
    assert machine.act(2.0) == (A.START,)


def test_who_closes_the_pipe_and_stays_is_killed_again_and_again() -> None:
    machine = started()
    machine.tell(E.PIPE_CLOSED, 1.0)
    assert machine.act(31.0) == (A.KILL,)
    assert (machine.state, machine.due) == (S.KILLED, 61.0)
    assert machine.act(61.0) == (A.KILL,)


def test_whose_file_goes_is_stopped_and_forgotten() -> None:
    machine = started(accepting=True)
    assert machine.tell(E.REMOVED, 1.0) == (A.STOP,)
    assert machine.due == 31.0
    assert machine.tell(E.ENDED, 2.0) == (A.FORGET,)
    assert machine.state is S.GONE


def test_whose_file_comes_back_meanwhile_is_started_again() -> None:
    machine = started(accepting=True)
    machine.tell(E.REMOVED, 1.0)
    machine.tell(E.APPEARED, 2.0)
    machine.tell(E.ENDED, 3.0)
    assert machine.act(3.0) == (A.START,)


def test_a_stop_that_was_asked_for_is_no_failure() -> None:
    machine = started()
    machine.tell(E.REPLACE, 1.0)
    assert not machine.failed


def test_an_operator_stops_and_starts() -> None:
    machine = started(accepting=True)
    assert machine.tell(E.STOP, 1.0) == (A.STOP,)
    machine.tell(E.ENDED, 2.0)
    assert (machine.state, machine.due) == (S.HELD, None)
    assert machine.tell(E.CHANGED, 3.0) == ()
    assert machine.state is S.HELD
    machine.tell(E.START, 4.0)
    assert machine.act(4.0) == (A.START,)


def test_on_demand_it_sleeps_until_somebody_connects() -> None:
    machine = VassalMachine(TIMING, 0.0, on_demand=True)
    assert machine.act(0.0) == (A.LISTEN,)
    assert (machine.state, machine.due) == (S.ASLEEP, None)
    assert machine.tell(E.CHANGED, 1.0) == ()
    assert machine.tell(E.DEMAND, 2.0) == (A.START,)
    machine.tell(E.ACCEPTING, 2.0)
    assert machine.tell(E.REST, 3.0) == (A.STOP,)
    assert machine.tell(E.ENDED, 4.0) == (A.LISTEN,)
    assert machine.state is S.ASLEEP


def test_an_on_demand_vassal_that_fails_does_not_spin() -> None:
    machine = VassalMachine(TIMING, 0.0, on_demand=True)
    machine.act(0.0)
    machine.tell(E.DEMAND, 1.0)
    assert machine.tell(E.ENDED, 1.0, delay=5.0) == ()
    assert machine.act(6.0) == (A.LISTEN,)


def test_silence_first_reloads_then_kills() -> None:
    machine = started(accepting=True)
    assert machine.act(1e6) == ()
    machine.tell(E.HEARTBEAT, 5.0)
    assert machine.due == 15.0
    assert machine.act(15.0) == (A.RELOAD,)
    assert machine.act(25.0) == (A.KILL,)
    assert machine.state is S.KILLED


def test_a_heartbeat_in_time_ends_the_silence() -> None:
    machine = started(accepting=True)
    machine.tell(E.HEARTBEAT, 5.0)
    machine.act(15.0)
    machine.tell(E.HEARTBEAT, 20.0)
    assert machine.act(25.0) == ()
    assert machine.due == 30.0


def test_a_reload_that_takes_its_time_is_no_silence_for_one_period_more() -> None:
    machine = started(accepting=True)
    machine.tell(E.HEARTBEAT, 5.0)
    machine.tell(E.CHANGED, 14.0)
    assert machine.act(24.0) == ()
    assert machine.act(34.0) == (A.KILL,)


def test_at_the_end_of_the_emperor_everybody_has_his_mercy() -> None:
    machine = started(accepting=True)
    assert machine.tell(E.SHUTDOWN, 1.0, mercy=4.0) == (A.STOP,)
    assert machine.due == 5.0
    assert machine.act(5.0) == (A.KILL,)
    cursed = started()
    cursed.tell(E.PIPE_CLOSED, 1.0)
    cursed.tell(E.SHUTDOWN, 1.0, mercy=4.0)
    assert cursed.due == 5.0
    # A file that comes back, and an operator, can't start it any more.
    machine.tell(E.APPEARED, 6.0)
    machine.tell(E.START, 6.0)
    assert machine.tell(E.ENDED, 6.0) == (A.FORGET,)


def test_a_refused_file_waits_for_a_change() -> None:
    machine = started()
    machine.tell(E.UNUSABLE, 0.0)
    assert (machine.state, machine.due) == (S.REFUSED, None)
    machine.tell(E.CHANGED, 9.0)
    assert machine.act(9.0) == (A.START,)


def test_the_table_knows_every_state_and_leads_to_processes_only_where_there_are_some() -> None:
    assert set(TABLE) == set(S)
    assert TABLE[S.GONE] == {}
    for state, rows in TABLE.items():
        for row in rows.values():
            if state in IDLE and row.state in RUNNING:
                assert A.START in row.actions
            if state in RUNNING and row.state in IDLE:
                assert state is S.STARTING
            assert (row.state in DYING - {state} or A.KILL in row.actions) == row.limited


class AnyLife(RuleBasedStateMachine):
    """Any order of events, with a process that exists or not."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.machine = VassalMachine(TIMING, 0.0)
        self.process = self.forgotten = self.ending = False

    def done(self, actions: tuple[VassalAction, ...]) -> None:
        for action in actions:
            if action is A.START:
                assert not self.process
                assert not self.forgotten
                assert not self.ending
                self.process = True
            elif action in (A.RELOAD, A.STOP, A.KILL):
                assert self.process
            elif action is A.LISTEN:
                assert self.machine.on_demand
                assert not self.process
            elif action is A.FORGET:
                assert not self.process
                assert not self.forgotten
                self.forgotten = True

    @precondition(lambda self: self.now == 0.0 and self.machine.state is S.WAITING)
    @rule()
    def on_demand(self) -> None:
        self.machine = VassalMachine(TIMING, self.now, on_demand=True)

    @rule(seconds=st.floats(0.1, 40.0))
    def time_goes_on(self, seconds: float) -> None:
        self.now += seconds
        self.done(self.machine.act(self.now))

    @precondition(lambda self: self.process)
    @rule(
        event=st.sampled_from([E.READY, E.ACCEPTING, E.LOYAL, E.HEARTBEAT, E.REST, E.PIPE_CLOSED])
    )
    def it_says(self, event: VassalEvent) -> None:
        self.done(self.machine.tell(event, self.now))

    @precondition(lambda self: self.process)
    @rule(delay=st.sampled_from([0.0, 3.0, 90.0]))
    def its_process_ends(self, delay: float) -> None:
        self.process = False
        self.done(self.machine.tell(E.ENDED, self.now, delay=delay))

    @precondition(lambda self: self.machine.state is S.STARTING)
    @rule(event=st.sampled_from([E.CANNOT_START, E.UNUSABLE]))
    def it_can_not_start(self, event: VassalEvent) -> None:
        self.process = False
        self.done(self.machine.tell(event, self.now, delay=2.0))

    @rule(
        event=st.sampled_from(
            [
                E.CHANGED,
                E.REMOVED,
                E.APPEARED,
                E.REPLACE,
                E.RELOAD,
                E.START,
                E.STOP,
                E.RESET,
                E.DEMAND,
            ]
        )
    )
    def somebody_wants(self, event: VassalEvent) -> None:
        self.done(self.machine.tell(event, self.now))

    @rule(mercy=st.floats(0.1, 20.0))
    def the_emperor_ends(self, mercy: float) -> None:
        self.ending = True
        self.done(self.machine.tell(E.SHUTDOWN, self.now, mercy=mercy))

    @invariant()
    def there_is_a_process_where_the_state_says_so(self) -> None:
        assert (self.machine.state in RUNNING) == self.process
        assert (self.machine.state is S.GONE) == self.forgotten

    @invariant()
    def nobody_waits_for_ever_for_an_end(self) -> None:
        due = self.machine.due
        if self.machine.state in DYING:
            assert due is not None
            assert due <= self.now + TIMING.tolerance
        if self.machine.state in (S.WAITING, S.THROTTLED):
            assert due is not None
            assert math.isfinite(due)
        if self.machine.state in (S.ASLEEP, S.HELD, S.REFUSED, S.GONE):
            assert due is None

    @invariant()
    def who_runs_has_what_follows(self) -> None:
        if self.ending and self.machine.state in DYING | LIVING:
            assert self.machine.after is After.FORGET


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

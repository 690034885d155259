"""The state machine of a supervised program: starts, restarts with back-off, ends; without any process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.supervision.machine import (
    Action,
    ProgramMachine,
    RestartTiming,
    State,
)

TIMING = RestartTiming(first=1.0, most=8.0, steady=60.0, start=30.0, stop=10.0)


def machine() -> ProgramMachine:
    return ProgramMachine(TIMING, now=100.0)


def serving() -> ProgramMachine:
    one = machine()
    one.started(100.0)
    one.ready()
    return one


def test_it_starts_when_it_is_due() -> None:
    one = machine()
    assert one.act(99.9) is None
    assert one.act(100.0) is Action.START
    one.started(100.0)
    assert (one.state, one.running, one.was_ready) == (State.STARTING, True, False)


def test_what_does_not_get_ready_is_killed() -> None:
    one = machine()
    one.started(100.0)
    assert one.act(129.9) is None
    assert one.act(130.0) is Action.KILL_UNREADY
    one.killed()
    assert one.ended(130.0) == 0.0


def test_any_time_may_be_enough_to_get_ready() -> None:
    one = ProgramMachine(RestartTiming(start=None), now=0.0)
    one.started(0.0)
    assert one.due is None
    assert one.act(1e9) is None


def test_what_is_ready_has_nothing_due() -> None:
    one = serving()
    assert one.due is None
    assert one.was_ready


def test_the_first_restart_is_at_once_and_others_wait_twice_as_long_each_time() -> None:
    one, now, delays = serving(), 101.0, []
    for _ in range(6):
        delay = one.ended(now)
        assert delay is not None
        delays.append(delay)
        now += delay
        assert one.act(now) is Action.START
        one.started(now)
        one.ready()
    assert delays == [0.0, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert one.restarts == 6


def test_after_a_steady_run_the_next_restart_is_the_first_again() -> None:
    one = serving()
    one.ended(101.0)
    one.started(101.0)
    one.ended(102.0)
    one.started(103.0)
    assert one.ended(163.0) == 0.0


def test_what_was_told_to_stop_is_killed_when_its_time_is_over_and_not_started_again() -> None:
    one = serving()
    one.stop(200.0, mercy=60.0)
    assert one.act(269.9) is None
    assert one.act(270.0) is Action.KILL_UNENDED
    one.killed()
    assert one.state is State.KILLED
    assert one.ended(270.0) is None
    assert (one.state, one.due, one.running) == (State.ENDED, None, False)


def test_a_second_stop_can_only_shorten_its_time() -> None:
    one = serving()
    one.stop(200.0, mercy=60.0)
    one.stop(201.0, mercy=500.0)
    assert one.due == 270.0
    one.stop(202.0)
    assert one.due == 212.0


def test_a_program_that_goes_on_for_another_one_gives_no_more_time() -> None:
    before = serving()
    before.stop(200.0, mercy=60.0)
    one = machine()
    one.adopted(ready=True, now=265.0)
    one.stop_by(before.due)
    assert (one.state, one.due) == (State.STOPPING, 270.0)
    one.stop(266.0)
    assert one.act(270.0) is Action.KILL_UNENDED
    one.killed()
    other = machine()
    other.adopted(ready=True, now=271.0)
    other.stop_by(one.due)
    assert other.state is State.KILLED
    assert other.ended(272.0) is None
    gone = machine()
    gone.stop_by(None)
    assert gone.state is State.ENDED


def test_what_waits_for_its_restart_just_ends() -> None:
    one = serving()
    one.ended(101.0)
    one.stop(101.0)
    assert (one.state, one.act(1e9)) == (State.ENDED, None)


def test_what_was_killed_for_good_is_not_started_again() -> None:
    one = serving()
    one.killed(again=False)
    assert one.ended(101.0) is None


def test_a_process_that_is_there_already_is_taken_over() -> None:
    one = machine()
    one.adopted(ready=True, now=100.0)
    assert (one.state, one.was_ready, one.due) == (State.READY, True, None)
    other = machine()
    other.adopted(ready=False, now=100.0)
    assert (other.state, other.due) == (State.STARTING, 130.0)


_EVENTS = st.sampled_from(["ready", "stop", "killed", "ended", "wait"])


@given(st.lists(st.tuples(_EVENTS, st.floats(0, 100)), max_size=30))
def test_whatever_happens_it_asks_for_no_start_while_there_is_a_process(
    events: list[tuple[str, float]],
) -> None:
    one, now, process, stopped = machine(), 100.0, False, False
    for event, passed in events:
        now += passed
        if event == "ready" and process:
            one.ready()
        elif event == "stop":
            stopped = True
            one.stop(now)
        elif event == "killed" and process:
            one.killed()
        elif event == "ended" and process:
            process = False
            one.ended(now)
        action = one.act(now)
        assert one.running == process
        if action is Action.START:
            assert not process
            assert not stopped
            one.started(now)
            process = True
        elif action is not None:
            assert process
            one.killed()


def test_actions_say_in_words_what_they_are() -> None:
    assert [one.value for one in Action if one is not Action.START] == [
        "kill: it did not get ready",
        "kill: it did not end",
    ]


@pytest.mark.parametrize("state", list(State))
def test_only_some_states_have_a_process(state: State) -> None:
    one = machine()
    one.state = state
    assert one.running == (state not in (State.WAITING, State.ENDED))
    assert one.stopping == (state in (State.STOPPING, State.KILLED, State.ENDED))

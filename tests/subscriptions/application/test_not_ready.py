"""The reason why a program is not ready is logged when it is due, and when it changes."""

import pytest

from uwsgi_router.subscriptions.application.not_ready import NotReadyLog


@pytest.fixture
def reason() -> NotReadyLog:
    return NotReadyLog("it has not answered", 10.0, tell=2.0, repeat=60.0)


def test_nothing_is_logged_of_a_program_that_is_ready_in_time(
    reason: NotReadyLog, caplog: pytest.LogCaptureFixture
) -> None:
    reason.found("503", 10.1)
    reason.found("400", 10.2)
    reason.tick(11.9)
    assert caplog.messages == []


def test_a_reason_is_logged_once_and_another_one_as_well(
    reason: NotReadyLog, caplog: pytest.LogCaptureFixture
) -> None:
    reason.found("503", 10.1)
    assert reason.due == 12.0
    reason.tick(12.0)
    reason.found("503", 13.0)
    reason.found("400", 14.0)
    assert caplog.messages == ["not announced yet: 503", "not announced yet: 400"]


def test_a_reason_is_repeated(reason: NotReadyLog, caplog: pytest.LogCaptureFixture) -> None:
    reason.found("503", 10.1)
    for now in (12.0, 71.9, 72.0, 131.9, 132.0):
        reason.tick(now)
    assert caplog.messages == ["not announced yet: 503"] * 3


def test_a_check_that_has_no_answer_yet_is_logged_too(
    reason: NotReadyLog, caplog: pytest.LogCaptureFixture
) -> None:
    reason.tick(12.0)
    assert caplog.messages == ["not announced yet: it has not answered"]

"""Reasons for failed requests: one table, whose options exist."""

import pytest

from uwsgi_router.router.config.table import names
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.reasons import Blame, Reason

ALL = list(reasons.BY_WORD.values())


def test_every_reason_has_a_word_of_its_own() -> None:
    named = [value for value in vars(reasons).values() if isinstance(value, Reason)]
    assert len(named) == len(ALL) > 20


@pytest.mark.parametrize(
    "reason", [reason for reason in ALL if reason.option], ids=lambda r: r.word
)
def test_the_option_that_decides_it_exists(reason: Reason) -> None:
    assert {f"fastrouter-{reason.option}", f"http-{reason.option}"} & set(names())


@pytest.mark.parametrize("reason", ALL, ids=lambda reason: reason.word)
def test_what_clients_cause_is_told_within_limits(reason: Reason) -> None:
    """Whoever can cause a line at will must not fill a disk with it."""
    assert reason.at_will or reason.blame is not Blame.CLIENT
    assert reason.at_will or reason.status >= 500


def test_a_failure_may_name_another_option_and_status_than_its_reason() -> None:
    plain = Failure(reasons.BUSY, "text", 5.0)
    assert (plain.reason, plain.status, plain.option, plain.value) == (
        "busy",
        503,
        "connect-timeout",
        5.0,
    )
    other = Failure(reasons.CONNECT, "text", option="timeout", status=reasons.STALLED.status)
    assert (other.reason, other.status, other.option) == ("connect", 504, "timeout")

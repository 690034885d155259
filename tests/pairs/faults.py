"""Combinations of which something wrong comes today: what, and what would be right."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.pairs.cases import Case
from tests.pairs.rules import (
    collected_early,
    gets_of,
    is_collected,
    reason_of,
)
from tests.pairs.wire import request_of


@dataclass(frozen=True)
class Fault:
    """Something wrong.

    Attributes:
        name: for the table.
        why: what is wrong, and what would be right.
        where: tells the combinations.
        shows: what the lines about it begin with; (): the client waits for ever.
    """

    name: str
    why: str
    where: Callable[[Case], bool]
    shows: tuple[str, ...]

    def is_behind(self, line: str) -> bool:
        """Return True if this explains a difference."""
        return any(re.match(pattern, line) for pattern in self.shows)


def faults_of(case: Case) -> list[Fault]:
    """Return what is wrong with a combination."""
    return [fault for fault in FAULTS if fault.where(case)]


def _waits_for_ever(case: Case) -> bool:
    if case.body == "expect-raw":
        return case.back == "uwsgi"
    return case.body == "expect-source"


def _has_bytes_that_nobody_took(case: Case) -> bool:
    reason = reason_of(case)
    if case.front == "uwsgi":
        return False
    if reason == "bad-coding":
        return True
    request = request_of(case, 1)
    if not request.body or (request.waits and gets_of(case, reason) == "-"):
        return False
    if reason in {"no-node", "rtsp"} or (reason == "client" and gets_of(case, reason) == "-"):
        taken = (
            is_collected(case)
            if reason == "client" and case.pool not in {"held", "full"}
            else collected_early(case)
        )
        return not taken
    surplus = (case.body == "raw" and case.back == "http") or case.answer == "forbidden"
    return reason == "unknown-key" or surplus


FAULTS = (
    Fault(
        "no 100",
        "a client that waits for a 100 before it sends bytes without a length gets none, and waits for ever;"
        " right: the router says 100 when a node is connected, for http-raw-body and http-manage-source too",
        _waits_for_ever,
        (),
    ),
    Fault(
        "early lost",
        "an HTTP client that half-closes behind a WebSocket's handshake and first frames: a uwsgi node gets the end"
        " before its 101, and the frames never; right: frames, then the end, as an HTTP node gets them",
        lambda case: (
            (case.front, case.back, case.end) == ("http", "uwsgi", "half-close")
            and case.body == "websocket"
        ),
        (r"seen\.0\.body",),
    ),
    Fault(
        "raw kept",
        "with http-raw-body the connection of an HTTP node is kept if the client half-closes; right: as docs/http.md"
        " says, it never is",
        lambda case: (
            (case.front, case.back, case.end) == ("http", "http", "half-close")
            and case.body == "raw"
        ),
        (r"nodes\.one\.kept",),
    ),
    Fault(
        "retry counted",
        "a request that is sent again because a node ended the connection counts as a connect retry, though no"
        " connect failed; right: it counts as resent only",
        lambda case: case.pool == "quits" and not reason_of(case),
        (r"counted\.retries",),
    ),
    Fault(
        "no Host",
        "without a Host a uwsgi node gets an empty HTTP_X_FORWARDED_HOST, and an HTTP node the machine's name;"
        " right: neither gets any, for the client said none",
        lambda case: (case.front, case.client) == ("http", "1.0-"),
        (r"seen\.0\.head\.fields",),
    ),
    Fault(
        "bytes in",
        "the access log's `in` leaves out bytes that were read and that no node took: bodies of requests that failed"
        " or waited, heads that were refused; right: all bytes that were read for the request",
        _has_bytes_that_nobody_took,
        (r"access\.\d\.bytes_in",),
    ),
)

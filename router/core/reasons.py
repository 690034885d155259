"""Reasons for failed requests: status, whose fault, how often logged, which option decides.

``docs/troubleshooting.md`` explains each of them; a test compares the two.
"""

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final


class Blame(Enum):
    """Party that made a request fail."""

    CLIENT = "client"
    NODE = "node"
    ROUTER = "router"


@dataclass(frozen=True, slots=True)
class Reason:
    """Reason of a failure: one row of the table.

    Attributes:
        word: for the log, counters, metrics and answers of ours.
        status: the HTTP status that tells it truthfully.
        blame: a node that is blamed for several requests in a row is ejected.
        option: the option that decides it, without its router's prefix, or "".
        at_will: clients can cause it as often as they like: its log lines are limited.
    """

    word: str
    status: HTTPStatus
    blame: Blame = Blame.ROUTER
    option: str = ""
    at_will: bool = False


def _client(word: str, status: HTTPStatus, option: str = "") -> Reason:
    return Reason(word, status, Blame.CLIENT, option, at_will=True)


def refused(word: str, status: int) -> Reason:
    """Return the reason for a request that the parser refuses, as an ``HttpError`` tells it."""
    return _client(word, HTTPStatus(status))


# --- the client's doing ---
BAD_PROXY_HEADER: Final = _client(
    "bad-proxy-header", HTTPStatus.BAD_REQUEST, "enable-proxy-protocol"
)
INCOMPLETE: Final = _client("incomplete", HTTPStatus.BAD_REQUEST)
NO_KEY: Final = _client("no-key", HTTPStatus.BAD_REQUEST)
BAD_BODY: Final = _client("bad-body", HTTPStatus.BAD_REQUEST)
NO_CHALLENGE: Final = _client("no-challenge", HTTPStatus.NOT_FOUND, "acme-webroot")
UNKNOWN_KEY: Final = _client("unknown-key", HTTPStatus.NOT_FOUND)
HEAD_TIMEOUT: Final = _client("head-timeout", HTTPStatus.REQUEST_TIMEOUT, "headers-timeout")
BODY_TIMEOUT: Final = _client("body-timeout", HTTPStatus.REQUEST_TIMEOUT, "timeout")
CLIENT_STALLED: Final = _client("client-stalled", HTTPStatus.REQUEST_TIMEOUT, "timeout")
BODY_TOO_LARGE: Final = _client("body-too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-limit")
RTSP: Final = _client("rtsp", HTTPStatus.NOT_IMPLEMENTED)
MISDIRECTED: Final = _client("misdirected", HTTPStatus.MISDIRECTED_REQUEST)
MAX_CONNECTIONS: Final = _client(
    "too-many-connections", HTTPStatus.SERVICE_UNAVAILABLE, "max-connections"
)
MAX_CONNECTIONS_PER_CLIENT: Final = _client(
    "too-many-of-client", HTTPStatus.SERVICE_UNAVAILABLE, "max-connections-per-client"
)
BAD_FRAME: Final = _client("bad-frame", HTTPStatus.BAD_GATEWAY)

# --- the node's ---
NO_ANSWER_IN_TIME: Final = Reason(
    "no-answer-in-time", HTTPStatus.GATEWAY_TIMEOUT, Blame.NODE, "timeout"
)
BAD_ANSWER: Final = Reason("bad-answer", HTTPStatus.BAD_GATEWAY, Blame.NODE)
CUT_SHORT: Final = Reason("cut-short", HTTPStatus.BAD_GATEWAY, Blame.NODE)
RESET: Final = Reason("reset", HTTPStatus.BAD_GATEWAY, Blame.NODE)

# --- neither's, or not known whose: a WebSocket over which nothing moves stalls too ---
STALLED: Final = Reason("stalled", HTTPStatus.GATEWAY_TIMEOUT, option="timeout")
# A node that ends its connection without an answer is blamed where that happens: not if the connection had been kept.
NO_ANSWER: Final = Reason("no-answer", HTTPStatus.BAD_GATEWAY)
# Of a relay. What a client says may be why.
NODE_RESET: Final = Reason("node-reset", HTTPStatus.BAD_GATEWAY, at_will=True)
CONNECT: Final = Reason("connect", HTTPStatus.BAD_GATEWAY)
BUSY: Final = Reason("busy", HTTPStatus.SERVICE_UNAVAILABLE, option="connect-timeout")
NO_NODE: Final = Reason("no-node", HTTPStatus.SERVICE_UNAVAILABLE)
UNHEALTHY: Final = Reason("unhealthy", HTTPStatus.SERVICE_UNAVAILABLE)
DRAINED: Final = Reason("drained", HTTPStatus.SERVICE_UNAVAILABLE)
HOLD_FULL: Final = Reason("hold-full", HTTPStatus.SERVICE_UNAVAILABLE, option="hold-max")
HOLD_EXPIRED: Final = Reason("hold-expired", HTTPStatus.SERVICE_UNAVAILABLE, option="hold")
QUEUE_FULL: Final = Reason(
    "queue-full", HTTPStatus.SERVICE_UNAVAILABLE, option="backend-queue", at_will=True
)
QUEUE_EXPIRED: Final = Reason(
    "queue-expired",
    HTTPStatus.SERVICE_UNAVAILABLE,
    option="backend-queue-timeout",
    at_will=True,
)
SPOOL: Final = Reason("spool", HTTPStatus.INSUFFICIENT_STORAGE)
BAD_ITEM: Final = Reason("bad-item", HTTPStatus.BAD_GATEWAY, at_will=True)
CACHE: Final = Reason("cache", HTTPStatus.BAD_GATEWAY, option="connect-timeout", at_will=True)

#: All of them, by their words; what the parser of requests refuses has words of its own.
BY_WORD: Final = {
    reason.word: reason for reason in tuple(globals().values()) if isinstance(reason, Reason)
}

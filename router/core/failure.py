"""Why a request failed: for the log line, the counters, and the answer where we answer."""

from http import HTTPStatus


class Failure(Exception):
    """A request that ends without a node's answer.

    Attributes:
        status: the HTTP status that tells it truthfully.
        reason: short words for counters and metrics, such as ``connect`` or ``unknown-key``.
        text: one sentence for people.
        option: the option that decided it, with its value, or "".
    """

    def __init__(self, status: HTTPStatus, reason: str, text: str, option: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason
        self.text = text
        self.option = option


class ClientGone(Exception):
    """The client has closed or reset its connection: nobody is left to answer."""


class TimedOut(Exception):
    """The deadline of the current phase has passed."""

"""Failures: exceptions that end a request; also a client that left, a deadline that passed."""

from http import HTTPStatus
from typing import TypeVar

from uwsgi_router.router.core.reasons import Reason

E = TypeVar("E", bound=BaseException)


class Failure(Exception):
    """Failure: a request that ends without a node's answer.

    Args:
        cause: why.
        text: one sentence for people.
        value: of the option that decided it, for the log; None: no option did, or it has none worth telling.
        option: another option than the reason's; "": none decided.
        status: another status than the reason's.
    """

    def __init__(
        self,
        cause: Reason,
        text: str,
        value: float | int | str | None = None,  # noqa: PYI041 - compiled code tells them apart
        *,
        option: str | None = None,
        status: HTTPStatus | None = None,
    ) -> None:
        super().__init__(text)
        self.cause = cause
        self.text = text
        self.status = cause.status if status is None else status
        self.option = cause.option if option is None else option
        self.value = value

    @property
    def reason(self) -> str:
        """Word of the reason."""
        return self.cause.word


class ClientGone(Exception):
    """Exception: the client has closed or reset its connection."""


class TimedOut(Exception):
    """Exception: the deadline of the current phase has passed."""


def without_traceback(error: E) -> E:
    """Return ``error`` without its traceback and without what caused it.

    An exception that is kept keeps the frames that raised it, and these keep the exception: only the cyclic collector
    would free them, and with them everything that the request used.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error

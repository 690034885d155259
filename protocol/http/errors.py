"""HTTP errors: refused requests, unusable answers, and broken bodies."""

from typing import Final

_QUOTED: Final = 40


class HttpError(ValueError):
    """Refusal of a request.

    Attributes:
        status: of the answer, 400 to 599.
        reason: a short fixed word for logs and metrics, such as "bad-field"; never made of input.
        text: one sentence for the log; may quote input, escaped and cut.
    """

    def __init__(self, status: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason
        self.text = text


class ResponseError(ValueError):
    """Error for a node's answer that can't be passed on (the client gets 502); ``str()`` says why."""


class BodyError(ValueError):
    """Error for bytes that are no body of the announced framing; ``str()`` is the reason for the log."""


class Truncated(BodyError):
    """Error for a connection that ended before the body did."""


class BodyTooLarge(BodyError):
    """Error for a body with more payload than is allowed."""


def quoted(data: bytes) -> str:
    """Return input for an error's text: escaped, of its first 40 bytes."""
    return repr(data[:_QUOTED])[1:] + ("..." if len(data) > _QUOTED else "")

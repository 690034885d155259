"""Why a message is refused."""

from typing import Final

_QUOTED: Final = 40


class HttpError(ValueError):
    """A request that is refused.

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
    """A node's answer that can't be passed on (the client gets 502); ``str()`` says why."""


class BodyError(ValueError):
    """The bytes are no body of the announced framing; ``str()`` is the reason for the log."""


class Truncated(BodyError):
    """The connection ended before the body did."""


class BodyTooLarge(BodyError):
    """The body has more payload than is allowed."""


def quoted(data: bytes) -> str:
    """Return input for an error's text: escaped, of its first 40 bytes."""
    return repr(data[:_QUOTED])[1:] + ("..." if len(data) > _QUOTED else "")

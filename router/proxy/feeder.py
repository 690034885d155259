"""Feeder: what a pump has its bytes framed anew by, or checked."""

from typing import Protocol


class Feeder(Protocol):
    """Feeder: re-frames a message for its target, and knows where it ends.

    A protocol, not a base class: what checks the frames of WebSockets is not compiled, and feeders are asked once a
    read, not once a request.

    Attributes:
        done: the message is complete.
    """

    done: bool

    @property
    def more(self) -> bool:
        """True if it has taken its share of a turn, and the rest of what it was fed waits for another ``feed``."""

    @property
    def surplus(self) -> bytes:
        """Bytes that followed the message; valid when done."""

    def feed(self, data: bytes) -> bytes:
        """Return what the target is to be sent for the next bytes of the source.

        Raises:
            BodyError: they are no part of such a message.
        """

    def eof(self) -> bytes:
        """Return what the target is to be sent at the end of the source; sets ``done`` if that is a legal end.

        Raises:
            BodyError: the message is not complete.
        """

"""Pumps of the two directions: requests from clients, answers from nodes."""

from typing import ClassVar

from uwsgi_router.router.net.fiber import Fiber
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.proxy.pump import Pump


class Upload(Pump):
    """Pump from the client: to a spool, to a node."""

    __slots__ = ()

    def source_ended(self) -> None:
        """Pause the link, or the poller would tell of the end again and again."""
        self.source.pause()

    def source_broke(self) -> None:
        """End the request: without a client it is over."""
        self.source.pause()
        self.fiber.lost()

    def target_broke(self) -> None:
        """Wake the fiber: a node that stopped reading may have answered before."""
        self.fiber.wake()


class Requests(Upload):
    """Pump of an HTTP client's requests on one connection: buffers heads, passes bodies."""

    __slots__ = ()
    wakes_when_buffering: ClassVar[bool] = True


class Download(Pump):
    """Pump from a node to the client."""

    __slots__ = ()

    def source_ended(self) -> None:
        """Do nothing: the node's connection is closed at once, which costs a system call less."""

    def source_broke(self) -> None:
        """Wake the fiber: the answer decides about resets."""
        self.fiber.wake()

    def target_broke(self) -> None:
        """Note that the client is gone."""
        self.fiber.lost()


class RawDownload(Download):
    """Pump of an answer that passes as it comes.

    Attributes:
        refusal: the first bytes of the answer, if they look like a 400.
    """

    __slots__ = ("refusal",)

    def __init__(self, source: Link, fiber: Fiber, chunk: int) -> None:
        Download.__init__(self, source, fiber, chunk)
        self.refusal = b""

    def _pass_on(self, data: bytes) -> None:
        if self.count == len(data) and data[9:12] == b"400":
            self.refusal = data
        super()._pass_on(data)


class Answers(Download):
    """Pump of a node's answer that begins with a head: buffered until it can be parsed."""

    __slots__ = ()
    wakes_when_buffering: ClassVar[bool] = True

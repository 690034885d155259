"""Pumps of the two directions: requests from clients, answers from nodes."""

from typing import ClassVar

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
    ends_with_last_read: ClassVar[bool] = True

    def source_ended(self) -> None:
        """Do nothing: the node's connection is closed at once, which costs a system call less."""

    def source_broke(self) -> None:
        """Wake the fiber: the answer decides about resets."""
        self.fiber.wake()

    def target_broke(self) -> None:
        """Note that the client is gone."""
        self.fiber.lost()


class Answers(Download):
    """Pump of a node's answer that begins with a head: buffered until it can be parsed."""

    __slots__ = ()
    wakes_when_buffering: ClassVar[bool] = True

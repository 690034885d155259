"""How a session waits: one coroutine, one deadline with a named phase.

Callbacks (`Link`, `Flow`, `Deadlines`, `Hold`) note what happened and call :meth:`Waiting.wake`; the coroutine
looks at what they noted. So one place waits, and nothing is missed between two waits.

The coroutine is no asyncio task: whoever wakes it has the poller resume it when the callback is done. Against a task
and a future per wait that saves about 2 us each time, and a turn of the loop. What needs a task (a name to resolve, an
operator's ``async`` function) gets one of its own: :meth:`Waiting.join`.
"""

import asyncio
import socket
import types
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Coroutine, Generator
from typing import TypeVar

from uwsgi_router.router.core.failure import ClientGone, TimedOut
from uwsgi_router.router.net.link import Link
from uwsgi_router.router.net.poller import Poller
from uwsgi_router.router.proxy.pump import Upload
from uwsgi_router.subscriptions.traffic import Traffic

T = TypeVar("T")

_FOREVER = 1e9


class Waiting(ABC):
    """The client's link, and the waiting for whatever may happen to it or anything else.

    Attributes:
        client: the client's connection.
        phase: what is being waited for, for the log.
        slides: by so many seconds the deadline moves with every byte; 0: it stays.
        deadline: when that has taken too long, on the loop's clock.
        upload: the flow from the client, once its request was read.
    """

    __slots__ = (
        "_alarmed",
        "_coroutine",
        "_poller",
        "_suspended",
        "_timed_out",
        "client",
        "deadline",
        "loop",
        "phase",
        "slides",
        "upload",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        poller: Poller,
        sock: socket.SocketType,
        timeout: float,
        traffic: Traffic,
    ) -> None:
        self.loop = loop
        self.client = Link(poller, sock, self, traffic)
        self.phase = "request"
        self.deadline = loop.time() + timeout
        self.upload: Upload | None = None
        self.slides = 0.0
        self._timed_out = False
        self._poller = poller
        self._coroutine: Coroutine[None, None, None] | None = None
        self._suspended = self._alarmed = False

    def begin_with(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run ``coroutine``, whose every wait is a :meth:`pause`, up to the first of them."""
        self._coroutine = coroutine
        self.resume()

    def resume(self) -> None:
        """Run it up to the next wait; called by the poller."""
        coroutine = self._coroutine
        if coroutine is None:
            return
        try:
            coroutine.send(None)
        except StopIteration:
            self._end(None)
        except BaseException as exc:  # noqa: BLE001 - whatever it is, the session is over
            self._end(exc)

    def cancel(self) -> None:
        """Raise CancelledError where it waits."""
        coroutine = self._coroutine
        if coroutine is None:
            return
        self._suspended = False
        try:
            coroutine.throw(asyncio.CancelledError())
        except StopIteration:
            self._end(None)
        except BaseException as exc:  # noqa: BLE001 - likewise
            self._end(exc)
        else:
            coroutine.close()
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        self._coroutine = None
        self.ended(error)

    @abstractmethod
    def ended(self, error: BaseException | None) -> None:
        """The coroutine has ended, of itself or with ``error``."""

    def touch(self) -> None:
        """Bytes moved: a sliding deadline starts again."""
        if self.slides:
            self.deadline = self.loop.time() + self.slides

    def wake(self) -> None:
        """Let the coroutine look at what has happened."""
        if self._suspended:
            self._suspended = False
            self._poller.resume_soon(self)

    def alarm(self) -> None:
        """Let it look at errors, too: a flow's source has broken, say."""
        self._alarmed = True
        self.wake()

    def expired(self) -> None:
        """Note that the deadline has passed."""
        self._timed_out = True
        self.alarm()

    def link_broken(self, link: Link, error: OSError) -> None:  # noqa: ARG002
        """Note that a link takes no more bytes."""
        if link is self.client:
            # Whatever the coroutine waits for: without a client the session is over.
            self.client.close()
            self.alarm()
            return
        if self.upload is not None and self.upload.target is link:
            # The node may have answered before it stopped reading: its answer is still read.
            self.upload.stop()
        self.wake()

    def hurry(self, seconds: float) -> None:
        """If no request was read yet, wait for it no longer than that."""
        if self.upload is None:
            self.deadline = min(self.deadline, self.loop.time() + seconds)

    def arm(self, phase: str, seconds: float, *, sliding: bool = False) -> None:
        """Name the phase and set its deadline; a sliding one moves on with every byte."""
        self.phase = phase
        self.slides = seconds if sliding else 0.0
        self._timed_out = False
        self.deadline = self.loop.time() + seconds

    @types.coroutine
    def pause(self) -> Generator[None, None, None]:
        """Wait until something has happened.

        Raises:
            ClientGone: the client is not there any more.
            TimedOut: the deadline has passed.
        """
        # What happened while nobody waited (a name was being resolved) has not woken anybody.
        if self._alarmed:
            self._look()
        self._suspended = True
        yield
        if self._alarmed:
            self._look()

    def _look(self) -> None:
        """Say what the alarm was about, unless it has been dealt with."""
        if self.client.closed or (self.upload is not None and self.upload.error is not None):
            raise ClientGone
        if self._timed_out:
            raise TimedOut
        self._alarmed = False

    async def receive(self, size: int) -> bytes:
        """Return the next bytes from the client, at most ``size``; b"" at their end.

        Raises:
            ClientGone: the client has reset its connection.
            TimedOut: the deadline has passed.
        """
        while (data := self.receive_now(size)) is None:
            await self.pause()
        return data

    def receive_now(self, size: int) -> bytes | None:
        """Return the next bytes if they are there, None if not: then a :meth:`pause` ends as soon as they are.

        Raises:
            ClientGone: the client has reset its connection.
        """
        client = self.client
        try:
            data = client.recv(size)
        except OSError:
            raise ClientGone from None
        if data is None:
            if not client.reading:
                client.read_with(self.wake)
            return None
        if self.slides:
            self.touch()
        return data

    async def sleep(self, seconds: float) -> None:
        """Wait for that long, or until something happens."""
        timer = self.loop.call_later(seconds, self.wake)
        try:
            await self.pause()
        finally:
            timer.cancel()

    async def join(self, awaitable: Awaitable[T]) -> T:
        """Wait for something that needs a task of asyncio's; it is cancelled if the client leaves.

        Raises:
            ClientGone: the client left.
        """
        self.arm(self.phase, _FOREVER)
        task = asyncio.ensure_future(awaitable, loop=self.loop)  # noqa: TID251
        task.add_done_callback(lambda _done: self.wake())
        try:
            while not task.done():
                await self.pause()
            return task.result()
        finally:
            task.cancel()

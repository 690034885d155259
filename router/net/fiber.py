"""Fiber: a coroutine without a task, with one deadline (idle timeout, connect timeout, ...) and one wake-up.

Callbacks (links, pumps, deadlines) note what happened and call :meth:`Fiber.wake`; the coroutine looks at what they
noted. So one place waits, and nothing is missed between two waits.

Whoever wakes a fiber has the poller resume it when the callback is done. Against an asyncio task and a future per
wait that saves about 2 us each time, and a turn of the loop. What needs a task (a name to resolve, an operator's
``async`` function) gets one of its own: :meth:`Fiber.join`.
"""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from enum import Enum
from typing import Final, TypeVar

from uwsgi_router.router.core.failure import ClientGone, TimedOut
from uwsgi_router.router.net.poller import Poller, Resumable

T = TypeVar("T")

_FOREVER: Final = 1e9


class Phase(Enum):
    """Phase of a connection, as the log names it."""

    REQUEST = "request"
    PROXY = "proxy"
    HANDSHAKE = "handshake"
    IDLE = "idle"
    BODY = "body"
    CONNECT = "connect"
    BUSY = "busy"
    QUEUE = "queue"
    HOLD = "hold"
    ANSWER = "answer"
    TUNNEL = "tunnel"
    TUNNEL_END = "tunnel-end"
    DELIVERY = "delivery"
    ERROR = "error"
    LINGER = "linger"


_REQUEST: Final = Phase.REQUEST


class Fiber(Resumable):
    """Fiber: runs one coroutine, whose every wait is a :meth:`pause`.

    Args:
        loop: the event loop.
        poller: resumes the coroutine.
        seconds: until the first deadline.

    Attributes:
        phase: what is being waited for.
        deadline: end of the wait, on the loop's clock in seconds.
        slides: seconds of an idle timeout, by which the deadline moves with every byte; 0: it stays.
    """

    __slots__ = (
        "_alarmed",
        "_coroutine",
        "_ended",
        "_lost",
        "_suspended",
        "_timed_out",
        "deadline",
        "loop",
        "phase",
        "poller",
        "slides",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, poller: Poller, seconds: float) -> None:
        self.loop = loop
        self.poller = poller
        self.phase = _REQUEST
        self.deadline = poller.now + seconds
        self.slides = 0.0
        self._coroutine: Coroutine[None, None, None] | None = None
        self._ended: Callable[[BaseException | None], None] | None = None
        self._suspended = self._alarmed = False
        self._timed_out = self._lost = False

    def run(
        self,
        coroutine: Coroutine[None, None, None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        """Run ``coroutine`` up to its first wait.

        Args:
            coroutine: waits in :meth:`pause` only.
            ended: called when it has ended, with what it raised, or None.
        """
        self._coroutine = coroutine
        self._ended = ended
        self.resume()

    def resume(self) -> None:
        """Run up to the next wait; called by the poller."""
        coroutine = self._coroutine
        if coroutine is None:
            return
        try:
            coroutine.send(None)
        except StopIteration:
            self._end(None)
        except BaseException as exc:  # noqa: BLE001 - whatever it is, the coroutine is over
            self._end(exc)

    def cancel(self) -> None:
        """Raise CancelledError where the coroutine waits."""
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
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(error)

    # --- called by callbacks ---

    def wake(self) -> None:
        """Let the coroutine look at what has happened."""
        if self._suspended:
            self._suspended = False
            self.poller.resume_soon(self)

    def touch(self) -> None:
        """Note that bytes moved: a sliding deadline starts again."""
        if self.slides:
            self.deadline = self.poller.now + self.slides

    def lost(self) -> None:
        """Note that the client is gone: every wait raises ClientGone from now on."""
        self._lost = self._alarmed = True
        self.wake()

    def expired(self) -> None:
        """Note that the deadline has passed."""
        self._timed_out = self._alarmed = True
        self.wake()

    def hurry(self, seconds: float) -> None:
        """Bring the deadline forward."""
        self.deadline = min(self.deadline, self.loop.time() + seconds)

    # --- called by the coroutine ---

    def arm(self, phase: Phase, seconds: float, *, sliding: bool = False) -> None:
        """Name the phase and set its deadline; a sliding one moves on with every byte."""
        self.phase = phase
        self.slides = seconds if sliding else 0.0
        self._timed_out = False
        self.deadline = self.poller.now + seconds

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

    @types.coroutine
    def give_way(self) -> Generator[None, None, None]:
        """Let all others have their turn, for a coroutine that could go on for long.

        Raises:
            ClientGone: as :meth:`pause`.
            TimedOut: likewise.
        """
        self.poller.resume_in_turn(self)
        yield
        if self._alarmed:
            self._look()

    def _look(self) -> None:
        """Raise the alarm's exception, unless it has been dealt with."""
        if self._lost:
            raise ClientGone
        if self._timed_out:
            raise TimedOut
        self._alarmed = False

    async def sleep(self, seconds: float) -> None:
        """Wait for that long, whatever else happens meanwhile."""
        until = self.loop.time() + seconds
        while (left := until - self.loop.time()) > 0:
            timer = self.loop.call_later(left, self.wake)
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

"""Poller: readiness of all connections through one epoll, which the event loop watches.

``loop.add_reader`` on uvloop makes a handle each time and costs six system calls from registering to removal; a request
needs three of them. Here it is one call to register and none to remove, because closing a socket does. Measured behind
nginx with a UNIX node: 15 to 20 % of the CPU per request, on asyncio's own loop likewise.

The poller is also what keeps connections from one another's time. In each turn of the loop everybody may use a share:
``SHARE`` bytes of one read or write, or as many items (chunks, frames) as its parser takes at once. Who needs more is
*heavy*: it waits in a queue, behind all who are not, and those in the queue have ``_HEAVY_SECONDS`` of a turn together.
So nobody waits longer because many others have much to send.
"""

import asyncio
import select
from abc import abstractmethod
from collections import deque
from time import monotonic
from typing import Final

#: Bytes to read, or the end of the peer's bytes: what a reader has the kernel tell of.
READABLE: Final = select.EPOLLIN | select.EPOLLRDHUP
WRITABLE: Final = select.EPOLLOUT
#: With READABLE: bytes are told of once, when they come.
EDGE: Final = select.EPOLLET

#: Bytes of one read or write that make a connection a heavy one.
SHARE: Final = 32_768

# A heavy connection that is ready would be told of in each turn, in the place of others, until its own has come.
_ONCE: Final = select.EPOLLONESHOT

# Events handled before what they have woken goes on. With 256 of many requests that had come at once the first
# was sent to its node when all had been read, and no answer was read until all had been sent.
_BATCH: Final = 16
# For batches behind the first, before everything else in the loop gets its turn again.
_BATCHES_SECONDS: Final = 0.001
# For those in the queue, in a turn. The first of them is always served: that takes 0.2 ms at most, if it has used its
# share. With 0.5 ms a request that needs three turns waits 2 ms for whatever others do.
_HEAVY_SECONDS: Final = 0.000_5


class Pollable:
    """Owner of a descriptor, told when it is ready."""

    __slots__ = ()

    @abstractmethod
    def on_events(self, events: int) -> None:
        """Handle bits of epoll: of READABLE, WRITABLE, or an error or hang-up, which the next system call will name."""

    @abstractmethod
    def watch_again(self) -> None:
        """Have the poller tell of events again, of which a heavy one is told once."""


class Resumable:
    """Owner of a suspended coroutine, resumed when something has happened."""

    __slots__ = ()

    @abstractmethod
    def resume(self) -> None:
        """Run the coroutine on."""


class Heavy(Resumable):
    """Place in the queue of a connection that uses more than its share.

    Args:
        poller: that has the queue.
        pollable: the connection; told of its events when it is its turn.

    Attributes:
        more: it has read as much as it could, so that there is more, most likely: then it needs not be polled.
    """

    __slots__ = ("_events", "_pollable", "_poller", "more")

    def __init__(self, poller: "Poller", pollable: Pollable) -> None:
        self._poller = poller
        self._pollable = pollable
        self._events = 0
        self.more = False

    def note(self, events: int) -> bool:
        """Note ``events``, to be handled in turn; return False if it is in the queue already."""
        waits = self._events
        self._events = waits | events
        return not waits

    def drop(self) -> None:
        """Handle nothing any more: the connection is closed, or heavy no longer."""
        # It may still be in the queue.
        self._events = 0
        self.more = False

    def resume(self) -> None:
        """Handle what was noted."""
        events, self._events = self._events, 0
        if not events:
            return
        self.more = False
        self._pollable.on_events(events)
        if self.more:
            self._events = events
            self._poller.resume_in_turn(self)
        else:
            self._pollable.watch_again()


class Poller:
    """Poller of all connections of one event loop.

    Attributes:
        now: the loop's clock at the beginning of this batch of events; who is called from elsewhere calls :meth:`tick`.

    A callback may find its socket not ready after all (another one closed it, and its number was used again within the
    batch): it must take EAGAIN for an answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._pollables: dict[int, Pollable] = {}
        self._heavy: dict[int, Heavy] = {}
        self._ready: list[Resumable] = []
        self._queue: deque[Resumable] = deque()
        self._will_resume = False
        self._will_go_on = self._takes_turns = False
        self._first_may = True
        self.now = loop.time()
        loop.add_reader(self._epoll.fileno(), self._dispatch)

    def __len__(self) -> int:
        return len(self._pollables) + len(self._heavy)

    def register(self, fd: int, pollable: Pollable, events: int) -> None:
        """Begin to watch ``fd``."""
        self._epoll.register(fd, events)
        self._pollables[fd] = pollable

    def modify(self, fd: int, events: int) -> None:
        """Watch ``fd`` for something else, or a heavy one for another event."""
        self._epoll.modify(fd, events | _ONCE if fd in self._heavy else events)

    def unregister(self, fd: int) -> None:
        """Watch ``fd`` no more; it stays open."""
        if self._pollables.pop(fd, None) is None:
            del self._heavy[fd]
        self._epoll.unregister(fd)

    def forget(self, fd: int) -> None:
        """Watch ``fd`` no more; it is about to be closed, which tells the kernel."""
        if self._pollables.pop(fd, None) is None:
            self._heavy.pop(fd, None)

    def register_heavy(self, fd: int, heavy: Heavy, events: int) -> None:
        """Begin to watch ``fd``, which has ``heavy`` wait for a turn when it is ready."""
        self._epoll.register(fd, events | _ONCE)
        self._heavy[fd] = heavy

    def set_heavy(self, fd: int, heavy: Heavy, events: int) -> None:
        """From now on have ``heavy`` wait for a turn when ``fd``, which is watched, is ready."""
        self._epoll.modify(fd, events | _ONCE)
        del self._pollables[fd]
        self._heavy[fd] = heavy

    def set_light(self, fd: int, pollable: Pollable, events: int) -> None:
        """End :meth:`set_heavy`."""
        self._epoll.modify(fd, events)
        del self._heavy[fd]
        self._pollables[fd] = pollable

    def tick(self) -> float:
        """Read the clock, for callbacks that do not come from here; return it."""
        self.now = self._loop.time()
        return self.now

    def resume_soon(self, resumable: Resumable) -> None:
        """Have ``resumable`` resumed when the callbacks that are called now have ended."""
        if not self._will_resume:
            self._will_resume = True
            self._loop.call_soon(self._resume_later)
        self._ready.append(resumable)

    def resume_in_turn(self, resumable: Resumable) -> None:
        """Have ``resumable`` resumed behind those that wait for their turn already, in this turn or a later one."""
        self._queue.append(resumable)
        if not self._takes_turns:
            self._go_on_later()

    def goes_first(self) -> bool:
        """Return True to the first that could go on for long, once in a turn, if nobody waits in the queue.

        It may do so at once: for one alone the queue would only cost another turn.
        """
        first = self._first_may and not self._queue
        self._first_may = False
        return first

    def _go_on_later(self) -> None:
        """Have another turn although no descriptor may be ready."""
        if not self._will_go_on:
            self._will_go_on = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._will_go_on = False
        # Not without those that have become ready meanwhile: they go first.
        if not self._epoll.closed:
            self._dispatch()

    def _resume_later(self) -> None:
        self.tick()
        self._resume()

    def _resume(self) -> None:
        for resumable in self._ready:  # which may grow meanwhile
            try:
                resumable.resume()
            except Exception as exc:  # noqa: BLE001 - as below
                self._report(resumable, exc)
        self._ready.clear()
        self._will_resume = False

    def _dispatch(self) -> None:
        if self._handle_batch() == _BATCH:
            until = monotonic() + _BATCHES_SECONDS
            # A callback may have closed us.
            while not self._epoll.closed and self._handle_batch() == _BATCH:
                if monotonic() >= until:
                    break
        if self._queue:
            self._take_turns()
        self._first_may = True

    def _handle_batch(self) -> int:
        """Handle events that are there, and resume whoever they have woken; return how many there were."""
        get = self._pollables.get
        batch = self._epoll.poll(0, _BATCH)
        self.now = self._loop.time()
        self._will_resume = True
        for fd, events in batch:
            pollable = get(fd)
            if pollable is not None:
                try:
                    pollable.on_events(events)
                except Exception as exc:  # noqa: BLE001 - one connection's bug must not stop the others
                    self._report(pollable, exc)
            elif fd in self._heavy:
                heavy = self._heavy[fd]
                if heavy.note(events):
                    self._queue.append(heavy)
        self._resume()
        return len(batch)

    def _take_turns(self) -> None:
        """Serve the queue for its share of this turn."""
        queue = self._queue
        self._will_resume = self._takes_turns = True
        until = monotonic() + _HEAVY_SECONDS
        while queue:
            resumable = queue.popleft()
            try:
                resumable.resume()
            except Exception as exc:  # noqa: BLE001 - as above
                self._report(resumable, exc)
            if monotonic() >= until:
                break
        self._takes_turns = False
        self._resume()
        if queue:
            self._go_on_later()

    def _report(self, culprit: object, exc: Exception) -> None:
        self._loop.call_exception_handler(
            {"message": f"a bug while handling {culprit!r}", "exception": exc}
        )

    def close(self) -> None:
        """Stop watching everything."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._pollables.clear()
            self._heavy.clear()
            self._queue.clear()

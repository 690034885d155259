"""Look-ups of host names in threads of their own: a silent name server delays its own names, and nothing else.

``getaddrinfo`` blocks for as long as the C library likes (10 to 40 s when no name server answers), and nothing ends
it. So no look-up runs in the event loop's executor, where state files and others wait too: each has a daemon thread,
which the end of the program does not wait for. Their number is limited, and names that were answered promptly the
last time have places of their own: names that hang, however many, cannot take those.
"""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.protocol.bounded import Bounded

#: Seconds within which a name server that works has answered.
PROMPT: Final = 1.0
#: Look-ups at once of names that were answered promptly the last time, and of all others.
PROMPT_PLACES: Final = 32
OTHER_PLACES: Final = 96
# Names that are known to be answered promptly.
_MAX_PROMPT: Final = 4096

GetAddrInfo = Callable[..., Sequence[tuple[Any, ...]]]
_Key = tuple[str, int]


class _Lane:
    """Places for look-ups, and those that wait for one."""

    def __init__(self, places: int) -> None:
        self.free = places
        self.waiting: deque[_LookUp] = deque()


class _LookUp:
    """Look-up of one name, for all who wait for it."""

    def __init__(self, key: _Key, lane: _Lane, answer: "asyncio.Future[list[str]]") -> None:
        self.key = key
        self.lane = lane
        self.answer = answer
        self.late: asyncio.TimerHandle | None = None


class LookUps:
    """Look-ups of host names: one at a time for each name, a limited number of names at once.

    Args:
        loop: the event loop.
        getaddrinfo: asks the system; called in a thread, and may block for any time.
        prompt: seconds within which an answer is prompt. A look-up that takes longer gives its place among prompt ones
            to the next.
        places: look-ups at once of names that were answered promptly the last time.
        other_places: look-ups at once of all other names.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        getaddrinfo: GetAddrInfo = socket.getaddrinfo,
        prompt: float = PROMPT,
        places: int = PROMPT_PLACES,
        other_places: int = OTHER_PLACES,
    ) -> None:
        self._loop = loop
        self._getaddrinfo = getaddrinfo
        self._prompt = prompt
        self._prompt_lane = _Lane(places)
        self._other_lane = _Lane(other_places)
        self._running: dict[_Key, _LookUp] = {}
        self._answered: Bounded[_Key, bool] = Bounded(_MAX_PROMPT)
        self._closed = False

    def __repr__(self) -> str:
        return f"<LookUps running={len(self._running)}>"

    async def look_up(self, address: InetAddress, kind: socket.SocketKind) -> list[str]:
        """Return every IP address of a name, each once, in the system's order.

        Raises:
            OSError: the name has none, or is none.
        """
        key = address.host, int(kind)
        running = self._running.get(key)
        if running is None:
            lane = self._prompt_lane if key in self._answered else self._other_lane
            running = self._running[key] = _LookUp(key, lane, self._loop.create_future())
            lane.waiting.append(running)
            self._begin(lane)
        # Whoever gives up must not cancel the look-up of the others.
        return await asyncio.shield(running.answer)

    def close(self) -> None:
        """Wait for no look-up any more; threads that hang are left behind."""
        self._closed = True
        for lane in (self._prompt_lane, self._other_lane):
            lane.waiting.clear()
        for running in self._running.values():
            running.answer.cancel()
            if running.late is not None:
                running.late.cancel()
        self._running.clear()

    def _begin(self, lane: _Lane) -> None:
        """Begin the look-ups that there are places for."""
        while lane.free and lane.waiting:
            begun = lane.waiting.popleft()
            lane.free -= 1
            begun.late = self._loop.call_later(self._prompt, self._is_late, begun)
            thread = threading.Thread(target=self._ask, args=(begun,), daemon=True, name="look-up")
            try:
                thread.start()
            except RuntimeError as exc:
                # A limit of threads: the next look-up may find one.
                self._loop.call_soon(self._finished, begun, OSError(str(exc)))

    def _ask(self, asked: _LookUp) -> None:
        """Ask the system, in a thread, and tell the loop."""
        host, kind = asked.key
        result: list[str] | OSError
        try:
            found = self._getaddrinfo(host, 0, type=socket.SocketKind(kind))
            result = list(dict.fromkeys(str(info[4][0]) for info in found))
        except OSError as exc:
            result = exc.with_traceback(None)
        except UnicodeError:
            result = OSError(f"{host} is no host name")
        try:
            self._loop.call_soon_threadsafe(self._finished, asked, result)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            pass

    def _is_late(self, late: _LookUp) -> None:
        """Note that a name was not answered promptly; its thread goes on."""
        late.late = None
        self._answered.pop(late.key, None)
        lane, other = late.lane, self._other_lane
        if lane is not other and other.free:
            lane.free += 1
            other.free -= 1
            late.lane = other
            self._begin(lane)

    def _finished(self, finished: _LookUp, result: list[str] | OSError) -> None:
        if self._closed:
            return
        if finished.late is not None:
            finished.late.cancel()
            self._answered[finished.key] = True
        del self._running[finished.key]
        if isinstance(result, OSError):
            finished.answer.set_exception(result)
            finished.answer.exception()  # each waiter gets it; without a waiter nobody needs it
        else:
            finished.answer.set_result(result)
        finished.lane.free += 1
        self._begin(finished.lane)

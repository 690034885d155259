"""Child of the master: its assignment, its sockets, what the master tells it, and its heartbeat."""

import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from uwsgi_router.router.app.master.assignment import Assignment
from uwsgi_router.router.app.master.beats import Beat, Beats
from uwsgi_router.router.app.master.value import load
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.net.activation import GivenSocket, Inherited, SocketRequest, adopt
from uwsgi_router.router.supervision.channel import Channel, Message
from uwsgi_router.router.supervision.memory_file import read_memory_file

#: Seconds between two heartbeats, at most.
BEAT: Final = 1.0
# For the master to open a socket; it may have to look up a name.
_PATIENCE: Final = 60.0


class CancelledLater(Protocol):
    """Timer of a loop."""

    def cancel(self) -> None:
        """Never fire."""


class ChildLoop(Protocol):
    """Loop of a child, asyncio's or one over selectors: what the link needs of it."""

    def add_reader(self, descriptor: Any, callback: Callable[[], object], /) -> object:
        """Call back whenever a descriptor can be read."""

    def remove_reader(self, descriptor: Any, /) -> object:
        """Wait for a descriptor no more."""

    def call_later(
        self, seconds: float, callback: Callable[..., object], /, *args: Any
    ) -> CancelledLater:
        """Call back once."""


class MasterLink:
    """Link of a child to the master.

    Args:
        assignment: of this child.

    Attributes:
        assignment: see above.
        configuration: of its generation.
        inherited: asks the master for sockets.
    """

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self._channel = Channel.of(assignment.channel)
        for descriptor in assignment.descriptors:
            os.set_inheritable(descriptor, False)
        self._waiting: deque[Message] = deque()
        self._beats = Beats(assignment.beats) if assignment.beats >= 0 else None
        self._beating: CancelledLater | None = None
        self.configuration: Configuration = load(read_memory_file(assignment.configuration))
        self.inherited = _FromMaster(self)

    def send(self, *descriptors: int, **members: object) -> bool:
        """Tell the master something; return False if it is gone."""
        return self._channel.send(members, descriptors)

    # --- before there is an event loop ---

    def ask(self, **members: object) -> Message:
        """Ask the master and wait for its answer; what it says beside that is kept for later.

        Raises:
            OSError: it is gone, or does not answer.
        """
        if not self.send(**members):
            raise BrokenPipeError
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                message = self._channel.receive()
            except EOFError as exc:
                raise BrokenPipeError from exc
            if message is None:
                left = end - time.monotonic()
                if left <= 0 or not select.select([self._channel], [], [], left)[0]:
                    raise TimeoutError
            elif "opened" in message.members or "refused" in message.members:
                return message
            else:
                self._waiting.append(message)

    # --- on the event loop ---

    def listen(
        self,
        loop: ChildLoop,
        told: Callable[[Message], object],
        gone: Callable[[], object],
    ) -> None:
        """Have ``told`` called with each message, ``gone`` once when the master is gone."""

        def readable() -> None:
            while True:
                try:
                    message = self._channel.receive()
                except EOFError:
                    loop.remove_reader(self._channel.fileno())
                    gone()
                    return
                if message is None:
                    return
                told(message)

        loop.add_reader(self._channel.fileno(), readable)
        while self._waiting:
            loop.call_later(0, told, self._waiting.popleft())

    def beat(
        self,
        loop: ChildLoop,
        numbers: Callable[[], Beat],
        interval: float = BEAT,
    ) -> None:
        """Show that the loop turns, now and from now on.

        Args:
            loop: the event loop.
            numbers: what to say beside the time.
            interval: seconds between two heartbeats, if that is less than :data:`BEAT`.
        """
        if self._beats is None:
            return
        found = numbers()
        now = Beat(time.monotonic(), found.connections, found.running, found.requests)
        self._beats.write(self.assignment.beat, now)
        self._beating = loop.call_later(min(interval, BEAT), self.beat, loop, numbers, interval)

    def stop_beating(self) -> None:
        """Beat no more."""
        if self._beating is not None:
            self._beating.cancel()

    def close(self, loop: ChildLoop) -> None:
        """Listen and beat no more; nothing can be told or asked from now on."""
        self.stop_beating()
        loop.remove_reader(self._channel.fileno())
        self._channel.close()


class _FromMaster(Inherited):
    """Sockets that the master opens when they are asked for."""

    asks = True

    def __init__(self, link: MasterLink) -> None:
        super().__init__()
        self._link = link

    def device(self, name: str) -> tuple[int, str]:
        """Return a TUN device that the master has opened.

        Raises:
            OSError: the master is gone.
            ValueError: it can't be opened; ``str()`` says why.
        """
        answer = self._link.ask(device=name)
        refused = answer.members.get("refused")
        if refused is not None:
            raise ValueError(refused)
        (descriptor,) = answer.descriptors
        return descriptor, answer.members["opened"]

    def given(self, request: SocketRequest) -> list[GivenSocket]:
        """Return the sockets of a request.

        Raises:
            OSError: the master is gone.
            ValueError: they can't be opened; ``str()`` says why.
        """
        umask = os.umask(0)
        os.umask(umask)
        answer = self._link.ask(
            open=request.text,
            kind=int(request.kind),
            options=dict(request.options),
            first=request.server_first,
            lanes=request.lanes,
            workers=request.workers,
            targets=request.targets,
            directory=os.getcwd(),
            umask=umask,
        )
        refused = answer.members.get("refused")
        if refused is not None:
            raise ValueError(refused)
        descriptors = iter(answer.descriptors)
        found = []
        for one in answer.members["opened"]:
            sock = adopt(next(descriptors))
            second = adopt(next(descriptors)) if one["second"] else None
            found.append(GivenSocket(sock, one["name"], own=one["own"], second=second))
        return found

"""Selector loop of a supervising process: descriptors, timers, signals; without asyncio, which costs it memory."""

import heapq
import itertools
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

_MOST_SIGNALS: Final = 256


class Timer:
    """Timer of a loop.

    Attributes:
        when: on the loop's clock, in seconds.
    """

    __slots__ = ("_callback", "when")

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self._callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Never fire."""
        self._callback = None

    def fire(self) -> None:
        """Call back, unless it was cancelled."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    @property
    def cancelled(self) -> bool:
        """True if it will not fire, or has."""
        return self._callback is None


class SelectorLoop:
    """Selector loop: waits for descriptors, timers and signals, and calls back.

    Signals arrive through a descriptor, and are handled like everything else: between two callbacks.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._handlers: dict[int, Callable[[int], object]] = {}
        self._previous: dict[int, Any] = {}
        self._awake, self._waker = socket.socketpair()
        self._awake.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._awake, selectors.EVENT_READ, self._signalled)
        self._over = False

    def time(self) -> float:
        """Return the loop's clock, in seconds."""
        return time.monotonic()

    # --- what is waited for ---

    def add_reader(self, descriptor: int, callback: Callable[[], object]) -> None:
        """Call back whenever a descriptor can be read."""
        self._selector.register(descriptor, selectors.EVENT_READ, callback)

    def add_writer(self, descriptor: int, callback: Callable[[], object]) -> None:
        """Call back whenever a descriptor takes bytes; :meth:`remove_reader` ends that, too."""
        self._selector.register(descriptor, selectors.EVENT_WRITE, callback)

    def reads(self, descriptor: int) -> bool:
        """Return True if a descriptor is waited for."""
        return descriptor in self._selector.get_map()

    def remove_reader(self, descriptor: int) -> None:
        """Wait for a descriptor no more; nothing happens if nobody does."""
        try:
            self._selector.unregister(descriptor)
        except KeyError:
            pass

    def call_later(self, seconds: float, callback: Callable[..., object], *args: object) -> Timer:
        """Call back once, after so many seconds."""
        timer = Timer(self.time() + seconds, (lambda: callback(*args)) if args else callback)
        heapq.heappush(self._timers, (timer.when, next(self._count), timer))
        return timer

    def on_signals(self, numbers: Iterable[int], callback: Callable[[int], object]) -> None:
        """Call back with the number of each of these signals, from now on."""
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            self._handlers[number] = callback
            previous = signal.signal(number, lambda *_: None)
            self._previous.setdefault(number, previous)

    # --- its life ---

    def run(self) -> None:
        """Wait and call back, until :meth:`stop`."""
        self._over = False
        while not self._over:
            self.step()

    def stop(self) -> None:
        """Return from :meth:`run` after the callback that is running."""
        self._over = True

    def step(self, most: float | None = None) -> None:
        """Wait once, for so many seconds at most, and call back."""
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        timeout = most
        if self._timers:
            left = max(0.0, self._timers[0][0] - self.time())
            timeout = left if most is None else min(left, most)
        for key, _events in self._selector.select(timeout):
            # An earlier callback may have ended the wait.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        now = self.time()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2].fire()

    def close(self) -> None:
        """Give the signals their former handlers back, and close what is ours."""
        if self._previous:
            signal.set_wakeup_fd(-1)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._selector.close()
        self._awake.close()
        self._waker.close()

    def _signalled(self) -> None:
        try:
            numbers = self._awake.recv(_MOST_SIGNALS)
        except BlockingIOError:
            return
        for number in numbers:
            handler = self._handlers.get(number)
            if handler is not None:
                handler(number)

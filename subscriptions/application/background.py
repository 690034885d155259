"""Background questions: blocking functions in daemon threads, whose results the loop takes."""

import logging
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger("subscriptions.application")


class BackgroundQuestions:
    """Runner of blocking functions for a loop that must not block.

    Each gets a thread of its own: a server that hangs keeps nobody else waiting, nor the program's end. The loop waits
    for :meth:`fileno`, and then calls :meth:`take`.
    """

    def __init__(self) -> None:
        self._results: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._awake, self._waker = socket.socketpair()
        self._awake.setblocking(False)
        self._waker.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when there are results."""
        return self._awake.fileno()

    def ask(self, function: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Run a function in a thread; ``then`` is called by the loop with what it returns.

        An exception of the function is a fault of ours: it is logged, and ``then`` gets it.
        """

        def run() -> None:
            try:
                result: Any = function()
            except Exception as exc:
                log.exception("a question failed")
                result = exc
            self.post(lambda: then(result))

        threading.Thread(target=run, daemon=True, name="question").start()

    def post(self, call: Callable[[], None]) -> None:
        """Have the loop call a function; from any thread."""
        self._results.put(call)
        try:
            self._waker.send(b"\0")
        except OSError:
            # Full: the loop will be awake anyway. Closed: nobody waits any more.
            pass

    def take(self) -> None:
        """Call what has been posted."""
        try:
            self._awake.recv(4096)
        except BlockingIOError:
            pass
        while True:
            try:
                call = self._results.get_nowait()
            except queue.Empty:
                return
            call()

    def close(self) -> None:
        """Take no more results."""
        self._awake.close()
        self._waker.close()

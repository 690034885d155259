"""Signals before the event loop takes them over: they end the program at once, without a traceback.

While modules are imported and a configuration is read there is nothing to tidy up. Once sockets are bound there is,
and the signal becomes an exception. Either way the program ends by the signal, as if it had no handler; process 1 of a
container, which such a signal would not end, exits with the status that a shell shows for it.

Imported first of all; so it imports next to nothing.
"""

import os
import signal

# Not from typing, which takes longer to import than the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn, Self

_STOPPING = (signal.SIGTERM, signal.SIGINT)


class StartStopped(BaseException):
    """Outcome: a signal ended the start; ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def end_by(number: int) -> "NoReturn":
    """End the process by a signal."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def end_at_once() -> None:
    """Let signals end the process, unless it was started to ignore them."""
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def raise_interrupts() -> None:
    """Undo :func:`end_at_once`, for a command that tidies up when it is interrupted."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is _end:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class TidiedUp:
    """Context in which a signal raises an exception, and ends the process once that has left it."""

    def __init__(self) -> None:
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Self":
        """Take over the signals, unless the process was started to ignore them."""
        for number in _STOPPING:
            handler = self._previous[number] = signal.getsignal(number)
            if handler is not signal.SIG_IGN:
                signal.signal(number, _raise)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """End the process by the signal that came, or give the signals back."""
        if isinstance(error, StartStopped):
            end_by(error.number)
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def _end(number: int, _frame: "FrameType | None") -> None:
    end_by(number)


def _raise(number: int, _frame: "FrameType | None") -> None:
    raise StartStopped(number)

"""Terminal of the user: raw mode, window size, and the escape ``~.`` that leaves a session."""

import fcntl
import os
import struct
import termios
import tty
from types import TracebackType
from typing import Final, Self

_WINDOW: Final = struct.Struct("HHHH")
_ESCAPE: Final = ord("~")


class RawTerminal:
    """Terminal in raw mode: every byte passes, Ctrl-C too; in ``with``, which restores it.

    A descriptor that is no terminal stays as it is.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[object] | None = None

    def __enter__(self) -> Self:
        if os.isatty(self._descriptor):
            self._before = termios.tcgetattr(self._descriptor)
            # What was typed ahead stays.
            tty.setraw(self._descriptor, termios.TCSADRAIN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]


def window_of(descriptor: int) -> tuple[int, int] | None:
    """Return rows and columns of a terminal, None if it does not tell."""
    try:
        answer = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * _WINDOW.size)
    except OSError:
        return None
    rows, cols, _, _ = _WINDOW.unpack(answer)
    return (rows, cols) if rows and cols else None


class EscapeReader:
    """Reader of escapes in what is typed, as ssh has them: ``~.`` at the beginning of a line leaves, ``~~`` is ``~``.

    Attributes:
        left: True once ``~.`` was typed.
    """

    def __init__(self) -> None:
        self._line_begins = True
        self._escaping = False
        self.left = False

    def read(self, typed: bytes) -> bytes:
        """Return what is to be sent of these bytes."""
        passed = bytearray()
        for byte in typed:
            if self._escaping:
                self._escaping = False
                if byte == ord("."):
                    self.left = True
                    break
                passed.append(_ESCAPE)
                if byte == _ESCAPE:
                    self._line_begins = False
                    continue
            elif byte == _ESCAPE and self._line_begins:
                self._escaping = True
                continue
            passed.append(byte)
            self._line_begins = byte in b"\r\n"
        return bytes(passed)

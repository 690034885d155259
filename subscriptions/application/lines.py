"""Output of copies: lines with the copy's name before them, and the last ones of each for reports."""

import array
import fcntl
import os
import re
import termios
from collections import deque
from collections.abc import Callable
from typing import Final

_READ: Final = 65_536
# A line that is longer is shown in pieces: nobody may make us keep more.
_LONGEST: Final = 16_384
#: Lines of a copy that are kept for reports.
KEPT: Final = 40
# What terminals obey; colours may stay.
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")


class NamedLines:
    """Lines of one pipe of a copy.

    Args:
        descriptor: of the pipe, non-blocking; closed at its end.
        name: shown before each line.
        write: takes whole lines.
        kept: gets each line, too; shared with the copy's other pipe.
    """

    def __init__(
        self, descriptor: int, name: str, write: Callable[[bytes], object], kept: deque[str]
    ) -> None:
        self.descriptor = descriptor
        self._prefix = f"{name} | ".encode()
        self._write = write
        self._kept = kept
        self._begun = b""

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return self.descriptor

    def read(self) -> bool:
        """Pass on what has arrived; return False at the end."""
        try:
            data = os.read(self.descriptor, _READ)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > _LONGEST or (self._begun and not data):
            lines.append(self._begun)
            self._begun = b""
        self._pass_on(lines)
        return bool(data)

    def drain(self) -> None:
        """Pass on all that is there now, for a copy that has ended.

        Processes that it has left may write on, and faster than it is read: that is not waited for.
        """
        waiting = array.array("i", [0])
        fcntl.ioctl(self.descriptor, termios.FIONREAD, waiting)
        for _ in range(0, waiting[0], _READ):
            if not self.read():
                break
        if self._begun:
            self._pass_on([self._begun])
            self._begun = b""

    def close(self) -> None:
        """Close the pipe."""
        os.close(self.descriptor)

    def _pass_on(self, lines: list[bytes]) -> None:
        if not lines:
            return
        clean = [_CONTROL.sub(b"?", line.rstrip(b"\r")) for line in lines]
        self._kept.extend(line.decode("utf-8", "backslashreplace")[:1000] for line in clean if line)
        self._write(b"".join(self._prefix + line + b"\n" for line in clean))


def kept_lines() -> deque[str]:
    """Return a store for the last lines of a copy."""
    return deque(maxlen=KEPT)

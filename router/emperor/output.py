"""Output of a vassal: lines with its name before them, and the last ones for whoever asks why it has ended."""

import os
from collections import deque
from collections.abc import Callable

from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.subscriptions.application.lines import NamedLines, kept_lines


class VassalOutput:
    """Output of the processes of a vassal, one after the other.

    Args:
        loop: waits.
        name: of the vassal.
        write: takes whole lines, with the name before them.

    Attributes:
        lines: the last ones, the newest last.
    """

    def __init__(self, loop: SelectorLoop, name: str, write: Callable[[bytes], object]) -> None:
        self._loop = loop
        self._name = name
        self._write = write
        self.lines: deque[str] = kept_lines()
        # Processes that left the session of their vassal may write to a former one.
        self._open: list[NamedLines] = []

    def open(self) -> int:
        """Return the writing end of a new pipe, which the caller closes."""
        reading, writing = os.pipe()
        self.read_from(reading)
        return writing

    def read_from(self, descriptor: int) -> None:
        """Read lines from the end of a pipe."""
        os.set_blocking(descriptor, False)
        lines = NamedLines(descriptor, self._name, self._write, self.lines)
        self._open.append(lines)
        self._loop.add_reader(descriptor, lambda: self._read(lines))

    def _read(self, lines: NamedLines) -> None:
        if not lines.read():
            self._loop.remove_reader(lines.fileno())
            lines.close()
            self._open.remove(lines)

    def take_rest(self) -> None:
        """Take what a process has written that has ended."""
        for lines in self._open:
            lines.drain()

    def last(self, count: int) -> list[str]:
        """Return the last lines that are not empty."""
        return [line.strip() for line in self.lines if line.strip()][-count:]

    def descriptors(self) -> list[int]:
        """Return the ends of the pipes that are open."""
        return [one.fileno() for one in self._open]

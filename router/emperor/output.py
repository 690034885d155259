"""Output of a vassal: lines with its name before them, and the last ones for whoever asks why it has ended."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from uwsgi_router.protocol.text import printable, show
from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.subscriptions.application.lines import KEPT, NamedLines, kept_lines

#: Pipes of former processes of one vassal that stay open.
MOST_FORMER: Final = 4


class VassalOutput:
    """Output of the processes of a vassal, one after the other.

    Args:
        loop: waits.
        name: of the vassal.
        write: takes whole lines, with the name before them.

    """

    def __init__(self, loop: SelectorLoop, name: str, write: Callable[[bytes], object]) -> None:
        self._loop = loop
        # Names of files may be any bytes: none of them begins a line of the log, or can't be written.
        self._name = printable(show(os.fsencode(name)))
        self._write = write
        # Of the process that runs, and of those before it.
        self._lines, self._former = kept_lines(), kept_lines()
        # Processes that left the session of their vassal may write to a former one.
        self._open: list[NamedLines] = []

    def open(self) -> int:
        """Return the writing end of a pipe for a new process, which the caller closes."""
        self._former.extend(self._lines)
        self._lines = kept_lines()
        while len(self._open) > MOST_FORMER:
            # One that is started again and again must not take all of the Emperor's descriptors.
            self._close(self._open[0])
        reading, writing = os.pipe()
        self.read_from(reading)
        return writing

    def read_from(self, descriptor: int) -> None:
        """Read lines from the end of a pipe."""
        os.set_blocking(descriptor, False)
        lines = NamedLines(descriptor, self._name, self._write, self._lines)
        self._open.append(lines)
        self._loop.add_reader(descriptor, lambda: self._read(lines))

    def _read(self, lines: NamedLines) -> None:
        if not lines.read():
            self._close(lines)

    def _close(self, lines: NamedLines) -> None:
        self._loop.remove_reader(lines.fileno())
        lines.close()
        self._open.remove(lines)

    def take_rest(self) -> None:
        """Take what a process has written that has ended."""
        for lines in self._open:
            lines.drain()

    def last(self, count: int) -> list[str]:
        """Return the last lines of the last process that are not empty."""
        return [line.strip() for line in self._lines if line.strip()][-count:]

    @property
    def lines(self) -> list[str]:
        """The last lines of all its processes, the newest last."""
        return [*self._former, *self._lines][-KEPT:]

    def state(self) -> list[list[str]]:
        """Return what :meth:`restore` needs."""
        return [list(self._former), list(self._lines)]

    def restore(self, lines: Sequence[Iterable[str]]) -> None:
        """Have the lines that were there before an exec."""
        self._former.extend(lines[0])
        self._lines.extend(lines[1])

    def descriptors(self) -> list[int]:
        """Return the ends of the pipes that are open."""
        return [one.fileno() for one in self._open]

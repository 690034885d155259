"""Packets of uWSGI's forkpty router in uwsgi mode: input, window size, signals (uWSGI: plugins/forkptyrouter).

Only clients speak it; what the terminal prints goes back to them as it is. A packet has uwsgi's header. Its modifier2
says what it is: 0 is followed by ``datasize`` bytes of input; 100 and 101 have the rows and columns of the window in
place of a size, and nothing behind them; anything else is the number of a signal.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.uwsgi import HEADER_SIZE, decode_header, encode_header

ROWS: Final = 100
COLS: Final = 101

#: Input that uWSGI's router takes in one packet; it resets the connection for more.
MAX_INPUT: Final = 4092


@dataclass(frozen=True, slots=True)
class PtyInput:
    """Bytes typed at the terminal; long ones come in several parts."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PtyWindow:
    """Size of the window; None: as it was."""

    rows: int | None
    cols: int | None


@dataclass(frozen=True, slots=True)
class PtySignal:
    """Signal for the program."""

    number: int


PtyEvent = PtyInput | PtyWindow | PtySignal


class PtyParser:
    """Incremental parser; keeps at most one header, however long the input of a packet is."""

    def __init__(self) -> None:
        self._head = b""
        # Bytes of input that are still to come.
        self._left = 0
        self._rows: int | None = None
        self._cols: int | None = None

    def feed(self, data: bytes) -> list[PtyEvent]:
        """Read what has come; rows and columns that came together are one event."""
        data = self._head + data
        at, found = 0, list[PtyEvent]()
        while True:
            if self._left:
                part = data[at : at + self._left]
                if not part:
                    break
                found.append(PtyInput(part))
                self._left -= len(part)
                at += len(part)
                continue
            if len(data) - at < HEADER_SIZE:
                break
            _, size, kind = decode_header(data[at : at + HEADER_SIZE])
            at += HEADER_SIZE
            if kind == ROWS:
                if self._cols is not None:
                    # Of the size before, whose rows came in an earlier read.
                    found += self._window()
                self._rows = size
            elif kind == COLS:
                self._cols = size
            else:
                found += self._window()
                if kind:
                    found.append(PtySignal(kind))
                self._left = 0 if kind else size
            if self._rows is not None and self._cols is not None:
                found += self._window()
        self._head = data[at:]
        if not self._head:
            # Behind the half of a size nothing has begun, so there is no other half to wait for.
            found += self._window()
        return found

    def _window(self) -> list[PtyEvent]:
        """Return the size that was read and not told yet."""
        if self._rows is None and self._cols is None:
            return []
        window = PtyWindow(self._rows, self._cols)
        self._rows = self._cols = None
        return [window]


def encode_input(data: bytes, most: int = MAX_INPUT) -> Iterator[bytes]:
    """Yield the packets for bytes that were typed, with at most so many in each."""
    for at in range(0, len(data), most):
        part = data[at : at + most]
        yield encode_header(0, len(part)) + part


def encode_window(rows: int, cols: int) -> bytes:
    """Return the two packets that say how large the window is."""
    return encode_header(0, rows, ROWS) + encode_header(0, cols, COLS)


def encode_signal(number: int) -> bytes:
    """Return the packet that sends the program a signal."""
    return encode_header(0, 0, number)

"""Session: one client's bytes to and from a program's pseudo-terminal, with backpressure both ways."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final

from uwsgi_router.protocol.pty import PtyInput, PtyParser, PtySignal
from uwsgi_router.router.jails.forkpty.program import PtyProgram

_CHUNK: Final = 64 * 1024
# Less, because each packet of it may be a signal.
_INPUT: Final = 16 * 1024


class PtySession:
    """Session of one client, from its connection to the end of either side.

    The client's end, also a half-close, ends the session: the program gets SIGHUP. The program's end ends it once the
    client has taken all that the terminal printed.

    Args:
        loop: the event loop.
        sock: of the client, non-blocking; closed by the session.
        program: whose terminal the session closes.
        parser: of the client's packets; None: its bytes are input as they are.
        timeout: seconds without a byte, in either direction, after which the session ends.
        ended: called once, at its end, with the reason.

    Attributes:
        received: bytes of input.
        sent: bytes that the client has taken.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        program: PtyProgram,
        parser: PtyParser | None,
        timeout: float,
        ended: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._program = program
        self._parser = parser
        self._timeout = timeout
        self._ended = ended
        self._to_program = bytearray()
        self._to_client = bytearray()
        self._program_is_done = False
        self._closed = False
        self.received = 0
        self.sent = 0
        self._active = loop.time()
        self._timer = loop.call_later(timeout, self._look_at_the_clock)
        loop.add_reader(sock, self._client_readable)
        loop.add_reader(program.master, self._program_readable)

    # --- from the client ---

    def _client_readable(self) -> None:
        if not (self._closed or self._to_program):
            self._read_client()

    def _read_client(self) -> None:
        try:
            data = self._sock.recv(_INPUT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close("its client has left")
            return
        # uvloop tells of a broken socket once, whatever is left to read: its end is found without being told of.
        self._loop.call_soon(self._client_readable)
        self._active = self._loop.time()
        if self._parser is None:
            self._input(data)
            return
        for event in self._parser.feed(data):
            if self._closed:
                return
            if isinstance(event, PtyInput):
                self._input(event.data)
            elif isinstance(event, PtySignal):
                self._program.signal(event.number)
            else:
                self._program.resize(event.rows, event.cols)

    def _input(self, data: bytes) -> None:
        self.received += len(data)
        if self._program_is_done:
            return
        waiting = bool(self._to_program)
        self._to_program += data
        if not waiting:
            self._write_to_program()
            if self._to_program and not self._closed:
                # No more is read until the terminal has taken this.
                self._loop.remove_reader(self._sock)
                self._loop.add_writer(self._program.master, self._program_writable)

    def _program_writable(self) -> None:
        self._write_to_program()
        if not (self._to_program or self._closed):
            self._loop.remove_writer(self._program.master)
            self._loop.add_reader(self._sock, self._client_readable)

    def _write_to_program(self) -> None:
        try:
            while self._to_program:
                del self._to_program[: os.write(self._program.master, self._to_program)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            # Nobody will read it; what was printed is still to be delivered.
            self._to_program.clear()

    # --- from the program ---

    def _program_readable(self) -> None:
        try:
            data = os.read(self._program.master, _CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            # EIO: nobody has the terminal open any more.
            data = b""
        self._active = self._loop.time()
        if not data:
            self._no_more_output()
            return
        self._to_client += data
        self._write_to_client()
        if self._to_client and not self._closed:
            self._loop.remove_reader(self._program.master)
            self._loop.add_writer(self._sock, self._client_writable)

    def _no_more_output(self) -> None:
        self._program_is_done = True
        self._loop.remove_reader(self._program.master)
        self._loop.remove_writer(self._program.master)
        self._to_program.clear()
        if not self._to_client:
            self.close("its program has ended")

    def _client_writable(self) -> None:
        self._write_to_client()
        if self._to_client or self._closed:
            return
        self._loop.remove_writer(self._sock)
        self._loop.add_reader(self._program.master, self._program_readable)

    def _write_to_client(self) -> None:
        try:
            while self._to_client:
                sent = self._sock.send(self._to_client)
                self.sent += sent
                self._active = self._loop.time()
                del self._to_client[:sent]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close("its client has left")

    # --- its end ---

    def _look_at_the_clock(self) -> None:
        left = self._active + self._timeout - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look_at_the_clock)
        else:
            self.close(f"nothing was said for {self._timeout:g} s")

    def close(self, reason: str) -> None:
        """End the session; the program gets SIGHUP if it still runs."""
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        for descriptor in (self._sock.fileno(), self._program.master):
            self._loop.remove_reader(descriptor)
            self._loop.remove_writer(descriptor)
        self._sock.close()
        self._program.hang_up()
        self._ended(reason)

"""Command ``pty``: connects this terminal to a forkpty router, ours or uWSGI's.

The exit status is 0 when the session has ended, 1 if there is none, 2 for a command line that makes no sense; the
router does not tell what the program's was.
"""

import argparse
import array
import fcntl
import os
import select
import shlex
import signal
import socket
import termios
from collections import deque
from types import FrameType
from typing import Final

from uwsgi_router.protocol.address import Address, AddressError, parse_address
from uwsgi_router.protocol.pty import encode_input, encode_window
from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.commands import failed
from uwsgi_router.router.cli.terminal import EscapeReader, RawTerminal, window_of
from uwsgi_router.subscriptions.client.arguments import split_at_dashes
from uwsgi_router.subscriptions.client.readiness import connect_to

_CHUNK: Final = 64 * 1024
_PATIENCE: Final = 30.0
# While the router has not read the last packet, look again after so many milliseconds.
_PACE: Final = 2
# For a program that prints nothing by itself, likewise.
_FIRST_WORDS: Final = 500
_END_OF_INPUT: Final = b"\x04"


def main(args: list[str]) -> int:
    """Connect; return the exit status."""
    own, command = split_at_dashes(args)
    parsed = arguments().parse_args(own)
    try:
        address = parse_address(parsed.address)
    except AddressError as exc:
        return failed("pty", exc, 2)
    typed = f"exec {shlex.join(command)}\n".encode() if command else b""
    return connect(address, packets=not parsed.raw, typed=typed, escapes=not parsed.no_escape)


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    parser = commands.parser(
        "pty",
        "Connect this terminal to a forkpty router: a new shell there, or whatever it runs. Ctrl-C goes to the program;"
        " ~. at the beginning of a line leaves. Behind --, a command that is typed at once, as exec COMMAND.",
        "Exit status: 0 when the session has ended, 1 if there is none, 2 for wrong use.",
        (
            "uwsgi-router pty /run/vassal/pty.sock",
            "uwsgi-router pty /run/vassal/pty.sock -- ps ax",
        ),
    )
    parser.add_argument("address", help="where a forkptyurouter listens")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="it is a forkptyrouter: the size of the window is not told",
    )
    parser.add_argument("--no-escape", action="store_true", help="~. goes to the program, too")
    return parser


def connect(address: Address, *, packets: bool, typed: bytes = b"", escapes: bool = True) -> int:
    """Connect this terminal; return the exit status.

    Args:
        address: of the router.
        packets: it is a forkptyurouter.
        typed: before what the user types.
        escapes: ``~.`` leaves.
    """
    try:
        sock = _connected(address)
    except OSError as exc:
        return failed("pty", f"cannot connect to {address}: {exc.strerror or exc}")
    try:
        with sock, RawTerminal(0):
            _Talk(sock, packets=packets, typed=typed, escapes=escapes).run()
    except _Ended as exc:
        return 128 + exc.number
    return 0


def _connected(address: Address) -> socket.socket:
    sock = connect_to(address, _PATIENCE)
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


class _Ended(BaseException):
    """End by a signal, which has to leave the terminal as it was."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Talk:
    """Bytes between the user's terminal and the router."""

    def __init__(self, sock: socket.socket, *, packets: bool, typed: bytes, escapes: bool) -> None:
        self._sock = sock
        self._packets = packets
        self._unsent: deque[bytes] = deque()
        self._escapes = EscapeReader() if escapes and os.isatty(0) else None
        self._input_ended = False
        self._resized = packets
        # For a shell that has begun: it has printed something, or has had time to.
        self._typed = typed

    def run(self) -> None:
        """Pass bytes on until either side has ended."""
        waking, waker = socket.socketpair()
        waking.setblocking(False)
        waker.setblocking(False)
        former = signal.set_wakeup_fd(waker.fileno())
        handlers = {signal.SIGWINCH: signal.signal(signal.SIGWINCH, self._noted)}
        for number in (signal.SIGTERM, signal.SIGHUP):
            handlers[number] = signal.signal(number, _end)
        try:
            with waking, waker:
                while self._step(waking):
                    pass
        finally:
            signal.set_wakeup_fd(former)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _noted(self, _number: int, _frame: FrameType | None) -> None:
        self._resized = self._packets

    def _step(self, waking: socket.socket) -> bool:
        """Wait for something to happen, and do it; return False at the end."""
        if self._resized:
            self._resized = False
            window = window_of(0)
            if window is not None:
                self._unsent.append(encode_window(*window))
        paced = self._write()
        poll = select.poll()
        poll.register(waking, select.POLLIN)
        events = select.POLLIN
        if self._unsent and not paced:
            events |= select.POLLOUT
        poll.register(self._sock, events)
        if not (self._unsent or self._input_ended or self._typed):
            poll.register(0, select.POLLIN)
        events_there = poll.poll(_PACE if paced else _FIRST_WORDS if self._typed else None)
        if self._typed and not paced and not events_there:
            self._type()
        for descriptor, _ in events_there:
            if descriptor == waking.fileno():
                waking.recv(_CHUNK)
            elif descriptor == 0:
                if not self._read_typed():
                    return False
            elif not self._read_printed():
                return False
        return True

    def _read_typed(self) -> bool:
        typed = os.read(0, _CHUNK)
        if not typed:
            self._input_ended = True
            # Closing our half would end the session before its last words are here.
            typed = _END_OF_INPUT
        elif self._escapes is not None:
            typed = self._escapes.read(typed)
            if self._escapes.left:
                return False
        self._send(typed)
        return True

    def _type(self) -> None:
        """Send what is typed before what the user types."""
        typed, self._typed = self._typed, b""
        self._send(typed)

    def _send(self, typed: bytes) -> None:
        if self._packets:
            self._unsent += encode_input(typed)
        elif typed:
            self._unsent.append(typed)

    def _write(self) -> bool:
        """Send what may be sent now; return True if the rest has to wait for the router to read.

        uWSGI's router reads one packet at a time, and loses the others that came with it.
        """
        while self._unsent:
            if self._packets and _unread(self._sock):
                return True
            try:
                sent = self._sock.send(self._unsent[0])
            except BlockingIOError:
                return False
            except OSError:
                # The session has ended; its last words may still be to be read.
                self._unsent.clear()
                self._input_ended = True
                return False
            if sent < len(self._unsent[0]):
                self._unsent[0] = self._unsent[0][sent:]
                return False
            self._unsent.popleft()
        return False

    def _read_printed(self) -> bool:
        try:
            printed = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if printed and self._typed:
            self._type()
        view = memoryview(printed)
        while view:
            view = view[os.write(1, view) :]
        return bool(printed)


def _end(number: int, _frame: FrameType | None) -> None:
    raise _Ended(number)


def _unread(sock: socket.socket) -> int:
    """Return how many bytes of ours the other end of a UNIX socket has not read; of others nothing is known."""
    if sock.family != socket.AF_UNIX:
        return 0
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, count)
    return count[0]

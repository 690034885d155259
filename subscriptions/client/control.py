"""Control socket client: asks a router, blocking, with a deadline for everything (protocol/control.py)."""

import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Self

from uwsgi_router.protocol.control import (
    MAX_ANSWER,
    ControlError,
    Question,
    decode_answer,
    encode_question,
)
from uwsgi_router.protocol.text import to_bytes

#: The variable that names the socket, and its path if nothing does.
VARIABLE: Final = "UWSGI_ROUTER_CONTROL"
DEFAULT: Final = "/run/uwsgi-router/control.sock"
# Seconds that an answer may come after the time that the router was given.
_GRACE: Final = 1.0
# struct ucred: process, user, group.
_CREDENTIALS: Final = struct.Struct("3i")


class CannotAsk(Exception):
    """Error: the router can't be asked, or refuses; ``str()`` says why."""


def control_path(given: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the path that was given, or that the environment names; None without either."""
    return given or environ.get(VARIABLE) or None


class Control:
    """Connection to a router's control socket; a context manager.

    Args:
        path: of the socket.
        limit: seconds for the connection and each answer.

    Raises:
        CannotAsk: if nobody listens there, or we may not connect.
    """

    def __init__(self, path: str, limit: float = 10.0) -> None:
        self._path = path
        self._limit = limit
        self._received = b""
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(limit)
        try:
            self._sock.connect(path)
        except OSError as exc:
            self._sock.close()
            raise CannotAsk(f"{path}: {_reason(exc)}") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and what the router does as long as there is one; also while another thread asks."""
        try:
            # Closing alone would not wake it.
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._sock.close()

    @property
    def peer(self) -> int:
        """Process that opened the socket, 0 if that is not known."""
        try:
            data = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return 0
        return int(_CREDENTIALS.unpack(data)[0])

    @property
    def ended(self) -> bool:
        """True if the router has ended the connection; to be asked between two questions."""
        return bool(select.select([self._sock], [], [], 0)[0])

    def ask(self, question: Question) -> Iterator[dict[str, Any]]:
        """Return the lines of the answer, the last one with ``ok``.

        Raises:
            CannotAsk: if there is none in time, or it says no.
        """
        end = time.monotonic() + self._limit + question.timeout
        try:
            self._sock.settimeout(self._limit)
            self._sock.sendall(encode_question(question))
            while True:
                members = decode_answer(self._line(end))
                yield members
                if "ok" in members:
                    return
        except OSError as exc:
            raise CannotAsk(f"{self._path}: {_reason(exc)}") from exc
        except ControlError as exc:
            raise CannotAsk(str(exc)) from exc

    def do(self, question: Question) -> dict[str, Any]:
        """Return the last line of the answer: ``nodes``, ``running``, ``known``.

        Raises:
            CannotAsk: as :meth:`ask`.
        """
        *_, done = self.ask(question)
        return done

    def _line(self, end: float) -> bytes:
        while True:
            line, found, rest = self._received.partition(b"\n")
            if found:
                self._received = rest
                return line
            if len(self._received) > MAX_ANSWER:
                raise ControlError("it is no answer of a router")
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
            more = self._sock.recv(MAX_ANSWER)
            if not more:
                raise ConnectionAbortedError
            self._received += more


def drained(path: str, nodes: Iterable[tuple[str, str]], limit: float) -> bool:
    """Wait until nodes are out of service and all their requests have ended.

    Args:
        path: of its control socket.
        nodes: (key, address) of each.
        limit: seconds, for all.

    Returns:
        False if that took too long.

    Raises:
        CannotAsk: if the router can't be asked.
    """
    end = time.monotonic() + limit
    with Control(path, _GRACE) as control:
        for key, address in nodes:
            question = Question(
                "drain",
                address,
                to_bytes(key),
                timeout=max(0.0, end - time.monotonic()),
                wait_only=True,
            )
            done = control.do(question)
            if not done["known"]:
                raise CannotAsk(f"{path}: nobody has announced {key} to the router there")
            if done["running"]:
                return False
    return True


def _reason(exc: OSError) -> str:
    return {
        ConnectionRefusedError: "no router listens there",
        FileNotFoundError: "there is no such socket: start the router with control-socket = PATH, and name it here with"
        " --control PATH",
        PermissionError: "you may not connect there; see chmod-control-socket and chown-control-socket",
        TimeoutError: "the router does not answer",
        BlockingIOError: "the router takes no more connections",
        ConnectionAbortedError: "the router ended the connection",
        ConnectionResetError: "the router ended the connection",
        BrokenPipeError: "the router ended the connection",
    }.get(type(exc), exc.strerror or str(exc))

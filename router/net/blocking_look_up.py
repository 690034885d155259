"""Look-up of a host name that is waited for: of a listener's, before there is an event loop."""

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

GetAddrInfo = Callable[..., Sequence[tuple[Any, ...]]]


def look_up_now(
    host: str, port: int, kind: socket.SocketKind, getaddrinfo: GetAddrInfo | None = None
) -> Sequence[tuple[Any, ...]]:
    """Ask the system and wait for the answer, so that a signal can end the wait: before there is an event loop.

    Raises:
        OSError: the name has no address.
        UnicodeError: it is no host name.
    """
    answers: list[Sequence[tuple[Any, ...]] | OSError | UnicodeError] = []
    answered = threading.Event()

    def ask() -> None:
        try:
            answers.append((getaddrinfo or socket.getaddrinfo)(host, port, type=kind))
        except (OSError, UnicodeError) as exc:
            answers.append(exc)
        answered.set()

    threading.Thread(target=ask, daemon=True, name="look-up").start()
    answered.wait()
    (answer,) = answers
    if isinstance(answer, OSError | UnicodeError):
        raise answer
    return answer

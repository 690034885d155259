"""Places where a session's processes listen, from ``/proc``; and the line that says what to write instead."""

import os
import re
import socket
from collections.abc import Iterable, Sequence
from typing import Final

from uwsgi_router.subscriptions.application.program import descendants, session

_LISTENING: Final = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")

#: How servers are told where to listen, by the name of their program or module.
_ADVICE: Final = {
    "gunicorn": "gunicorn … --bind {address}",
    "uvicorn": "uvicorn … --port {port}, or --uds {socket}",
    "granian": "granian … --port {port}",
    "hypercorn": "hypercorn … --bind {address}",
    "daphne": "daphne … --bind 127.0.0.1 --port {port}, or -u {socket}",
    "fastapi": "fastapi run … --port {port}",
    "flask": "flask … run --port {port}",
    "manage.py": "manage.py runserver --noreload {address}",
    "django-admin": "django-admin runserver --noreload {address}",
    "waitress-serve": "waitress-serve … --listen={address}",
    "http.server": "python3 -m http.server --bind 127.0.0.1 {port}",
    "uwsgi": "uwsgi … --http11-socket {address}, or --socket {address} with proto = uwsgi",
    "node": "PORT is in its environment: server.listen(process.env.PORT)",
}
_ANY: Final = (
    "{address} (127.0.0.1:PORT), {port} or {socket} where the command says where to listen"
)


def listeners_of(leader: int) -> list[str]:
    """Return the addresses at which the processes of a session listen, without those of UNIX datagram sockets."""
    return _listeners(leader, session(leader))


def listeners_of_process(pid: int) -> list[str]:
    """Return the addresses at which a process and its descendants listen."""
    return _listeners(pid, descendants(pid))


def _listeners(one: int, pids: Iterable[int]) -> list[str]:
    inodes = {inode for pid in pids for inode in _sockets(pid)}
    return sorted(address for inode, address in _listening(one) if inode in inodes)


def _sockets(pid: int) -> Iterable[str]:
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found = _SOCKET.fullmatch(os.readlink(f"/proc/{pid}/fd/{name}"))
            except OSError:
                continue
            if found is not None:
                yield found[1]
    except OSError:
        return


def _listening(pid: int) -> Iterable[tuple[str, str]]:
    """Yield (inode, address) of all sockets that listen in the network name space of a process."""
    for family, file in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for fields in _table(pid, file):
            if fields[3] == _LISTENING:
                host, _, port = fields[1].partition(":")
                shown = _host(family, host)
                yield fields[9], f"{shown}:{int(port, 16)}"
    for fields in _table(pid, "unix"):
        # The flag of those that accept connections (net/unix/af_unix.c).
        if len(fields) > 7 and int(fields[3], 16) & 0x10000:
            yield fields[6], fields[7]


def _table(pid: int, name: str) -> Iterable[list[str]]:
    try:
        with open(f"/proc/{pid}/net/{name}", encoding="utf-8", errors="replace") as file:
            next(file, None)
            for line in file:
                yield line.split()
    except OSError:
        return


def _host(family: int, digits: str) -> str:
    words = [bytes.fromhex(digits[i : i + 8])[::-1] for i in range(0, len(digits), 8)]
    text = socket.inet_ntop(family, b"".join(words))
    return f"[{text}]" if family == socket.AF_INET6 else text


def advice(arguments: Sequence[str], expected: str, found: Sequence[str]) -> str:
    """Return the line for a copy that does not listen where it should.

    Args:
        arguments: of its command.
        expected: where it should listen.
        found: where it listens.
    """
    where = f"it listens on {', '.join(found)}" if found else "it does not listen anywhere yet"
    return f"{where}, and was expected on {expected}: write {_how(arguments)}"


def _how(arguments: Sequence[str]) -> str:
    for word in arguments[:4]:
        name = os.path.basename(word)
        if name in _ADVICE:
            return _ADVICE[name]
    return _ANY

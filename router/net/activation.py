"""systemd: socket activation (LISTEN_FDS) and service notification (NOTIFY_SOCKET).

Both are plain conventions, no library: ``LISTEN_PID``/``LISTEN_FDS``/``LISTEN_FDNAMES``
(sd_listen_fds(3)) name descriptors that begin at 3; ``NOTIFY_SOCKET`` (sd_notify(3)) is a datagram
socket that takes ``NAME=value`` lines. The variables are taken out of the environment, so that no
child believes that they are meant for it.
"""

import logging
import os
import socket
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

log = logging.getLogger("uwsgi-router.systemd")

_FIRST_FD = 3
# More than any unit has; a wrong number must not make us try a million descriptors.
_MAX_FDS = 4096

SockAddr = tuple[Any, ...] | str | bytes


@dataclass(slots=True)
class InheritedSocket:
    """Inherited socket: one that was open when we started.

    Attributes:
        sock: the socket, non-blocking.
        fd: its number.
        name: ``FileDescriptorName=`` of the unit, or "".
        used: True once an address of the configuration took it.
    """

    sock: socket.socket
    fd: int
    name: str = ""
    used: bool = False


@dataclass(frozen=True, slots=True)
class SocketRequest:
    """Request for the sockets of an address.

    Attributes:
        kind: SOCK_STREAM or SOCK_DGRAM.
        text: the address as configured.
        options: backlog, socket options, access of socket files: fields of the process's configuration.
        server_first: we may write before the client does.
        lanes: of UDP, a second socket for the same address too.
        workers: number of processes that accept there.
        targets: family and socket address of each address that the text stands for; None: they are still to be found.
    """

    kind: socket.SocketKind
    text: str
    options: Mapping[str, Any]
    server_first: bool = False
    lanes: bool = False
    workers: int = 1
    targets: Sequence[tuple[int, Any]] | None = None


@dataclass(frozen=True, slots=True)
class GivenSocket:
    """Socket that another process has opened for us.

    Attributes:
        sock: non-blocking.
        name: as configured.
        own: this program's, not that of whoever started the program.
        second: its second lane, or None.
    """

    sock: socket.socket
    name: str
    own: bool
    second: socket.socket | None = None


class Inherited:
    """Inherited sockets, to be found by address or by descriptor.

    Attributes:
        asks: sockets are asked for, of whoever started this process.
    """

    asks = False

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        """Take over ``sockets``, which the caller bound (the demo does so)."""
        self._sockets = [InheritedSocket(sock, sock.fileno()) for sock in sockets]

    def add(self, sockets: Iterable[InheritedSocket]) -> None:
        """Take over more of them."""
        self._sockets += sockets

    @property
    def sockets(self) -> list[InheritedSocket]:
        """All of them."""
        return list(self._sockets)

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str], pid: int) -> "Inherited":
        """Take what systemd passed to process ``pid``: maybe nothing, or to somebody else."""
        listen_pid = environ.pop("LISTEN_PID", "")
        listen_fds = environ.pop("LISTEN_FDS", "")
        names = environ.pop("LISTEN_FDNAMES", "").split(":")
        inherited = cls()
        if not listen_fds:
            return inherited
        if listen_pid != str(pid):
            # Typical: ExecStart=/bin/sh -c 'uwsgi-router …' without exec.
            log.warning(
                "LISTEN_FDS is meant for process %s, we are %d: its sockets are not used",
                listen_pid,
                pid,
            )
            return inherited
        count = (
            int(listen_fds)
            if listen_fds.isascii() and listen_fds.isdigit() and len(listen_fds) < 6
            else -1
        )
        if not 0 <= count <= _MAX_FDS:
            log.warning("LISTEN_FDS=%s is not a number of sockets: ignored", listen_fds)
            return inherited
        for position in range(count):
            fd = _FIRST_FD + position
            name = names[position] if position < len(names) else ""
            try:
                found = InheritedSocket(adopt(fd), fd, name)
            except OSError as exc:
                log.warning(
                    "descriptor %d (%s) of systemd is not a usable socket: %s",
                    fd,
                    name,
                    exc.strerror,
                )
                continue
            inherited._sockets.append(found)
        return inherited

    def by_fd(self, fd: int) -> socket.socket | None:
        """Return the socket with number ``fd``, now counted as used."""
        for candidate in self._sockets:
            if candidate.fd == fd:
                candidate.used = True
                return candidate.sock
        return None

    def by_address(
        self, family: int, kind: socket.SocketKind, wanted: SockAddr
    ) -> list[socket.socket]:
        """Return the sockets of this kind that are bound to ``wanted``, now counted as used.

        A wildcard of IPv4 is also found as the wildcard of IPv6, which takes both:
        ``ListenStream=3031`` makes that one.
        """
        found = []
        for candidate in self._sockets:
            if (
                not candidate.used
                and candidate.sock.type == kind
                and _same(candidate.sock, family, wanted)
            ):
                candidate.used = True
                found.append(candidate.sock)
        return found

    def given(self, request: "SocketRequest") -> "list[GivenSocket] | None":  # noqa: ARG002
        """Return the sockets of a request, if whoever started this process opens them; None: we open them ourselves.

        Raises:
            OSError: there is nobody any more who could.
            ValueError: they can't be opened; ``str()`` says why.
        """
        return None

    def device(self, name: str) -> tuple[int, str] | None:  # noqa: ARG002
        """Return the descriptor and name of a TUN device, if whoever started this process opens it; None: it does not.

        Raises:
            OSError: there is nobody any more who could.
            ValueError: it can't be opened; ``str()`` says why.
        """
        return None

    def unused(self) -> list[InheritedSocket]:
        """Return what no address of the configuration took; the operator should hear of it."""
        return [candidate for candidate in self._sockets if not candidate.used]


def adopt(fd: int) -> socket.socket:
    """Make a non-blocking socket object of an open descriptor; children do not inherit it.

    Raises:
        OSError: if it is not open or not a socket.
    """
    sock = socket.socket(fileno=fd)
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


def _same(sock: socket.socket, family: int, wanted: SockAddr) -> bool:
    own = sock.getsockname()
    if socket.AF_UNIX in (family, sock.family):
        return family == sock.family and _file_name(own) == _file_name(wanted)
    if own[1] != wanted[1]:
        return False
    if sock.family == family:
        return bool(own[0] == wanted[0])
    return own[0] == "::" and wanted[0] == "0.0.0.0"


def _file_name(address: SockAddr) -> bytes:
    path = os.fsencode(address) if isinstance(address, str | bytes) else b""
    return path if path.startswith(b"\0") else os.path.realpath(path)


class SystemdNotifier:
    """Notifier of the service manager (sd_notify); does nothing if nobody asked.

    Attributes:
        address: as in NOTIFY_SOCKET; None: nobody asked.
    """

    def __init__(self, address: str | None) -> None:
        """Send to ``address``, as in NOTIFY_SOCKET: a path, or ``@`` and an abstract name."""
        self.address: str | None = None
        if address and address[0] in "/@":
            self.address = address
        elif address:
            log.warning("NOTIFY_SOCKET=%s is not a UNIX socket: nobody is notified", address)

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> "SystemdNotifier":
        """Take NOTIFY_SOCKET out of the environment."""
        return cls(environ.pop("NOTIFY_SOCKET", None))

    def ready(self, status: str) -> None:
        """Report that everything is bound and served (``Type=notify`` waits for this)."""
        self._send("READY=1", f"STATUS={_one_line(status)}")

    def reloading(self, microseconds: int, status: str) -> None:
        """Report that a reload has begun; :meth:`ready` ends it.

        Args:
            microseconds: on the monotonic clock.
            status: one line.
        """
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}", f"STATUS={_one_line(status)}")

    def watchdog(self) -> None:
        """Give a sign of life (``WatchdogSec=``)."""
        self._send("WATCHDOG=1")

    def status(self, status: str) -> None:
        """Report one line for ``systemctl status``."""
        self._send(f"STATUS={_one_line(status)}")

    def stopping(self, status: str) -> None:
        """Report that the shutdown has begun."""
        self._send("STOPPING=1", f"STATUS={_one_line(status)}")

    def _send(self, *lines: str) -> None:
        if self.address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                address = self.address
                where = "\0" + address[1:] if address[0] == "@" else address
                sock.sendto("\n".join(lines).encode("utf-8", "backslashreplace"), where)
        except OSError as exc:
            log.warning("cannot notify the service manager: %s", exc.strerror)


def _one_line(text: str) -> str:
    return " ".join(text.split())

"""Sockets of on-demand vassals: a vassal is started by the first connection, and its socket outlives it."""

import dataclasses
import os
import select
import socket
import stat
from collections.abc import Callable, Mapping
from typing import Any, Final

from uwsgi_router.protocol.address import AddressError, InetAddress, UnixAddress, parse_address
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.core.files import open_file
from uwsgi_router.router.emperor.vassal_file import VassalFile
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BindError, bind_stream
from uwsgi_router.router.net.unix_file import SocketFile
from uwsgi_router.router.supervision.loop import SelectorLoop, Timer

#: Seconds before a vassal that has served nobody is started again, at first; they double, up to the second number.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0

#: Bytes that an address has at most.
LONGEST_NAME: Final = 4096
_EVERYBODY: Final = 0o666
_BLANK: Final = 32


class OnDemandError(Exception):
    """Error: a vassal's socket can't be had; ``str()`` says why."""


class OnDemandSocket:
    """Socket of an on-demand vassal.

    Nobody accepts here: the vassal gets it as its standard input, and connections wait in it while there is none.

    Args:
        name: as configured, for statistics.
        sock: listens.
        file: of a UNIX socket.
        first_pause: see :data:`FIRST_PAUSE`.
        longest_pause: see :data:`LONGEST_PAUSE`.

    Attributes:
        name: see above.
        sock: see above; blocking, as the vassal expects it.
    """

    def __init__(
        self,
        name: str,
        sock: socket.socket,
        file: SocketFile | None = None,
        *,
        first_pause: float = FIRST_PAUSE,
        longest_pause: float = LONGEST_PAUSE,
    ) -> None:
        self.name, self.sock, self._file = name, sock, file
        self._first, self._longest = first_pause, longest_pause
        self._pause = 0.0
        self._timer: Timer | None = None
        self._loop: SelectorLoop | None = None

    def __repr__(self) -> str:
        return f"<OnDemandSocket {self.name}>"

    def fileno(self) -> int:
        """Return the number of its descriptor."""
        return self.sock.fileno()

    @property
    def pause(self) -> float:
        """Seconds that the next start waits for at least."""
        return self._pause

    def watch(self, loop: SelectorLoop, callback: Callable[[], object]) -> None:
        """Call back once when a connection waits; not before the pause after a vassal that has served nobody."""
        self.unwatch()
        self._loop = loop
        if self._pause:
            self._timer = loop.call_later(self._pause, self._wait, callback)
        else:
            self._wait(callback)

    def unwatch(self) -> None:
        """Wait for no connection any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None:
            self._loop.remove_reader(self.fileno())

    def ended(self, *, served: bool) -> None:
        """Note that the vassal has ended.

        Who does not accept leaves the connection that has started it, which would start it again at once.

        Args:
            served: it has answered a request.
        """
        if served or not self._waiting():
            self._pause = 0.0
        else:
            self._pause = min(self._longest, self._pause * 2 or self._first)

    def _waiting(self) -> bool:
        """Return True if there is a connection that nobody has accepted."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close it, and remove its file; the vassal's own descriptor stays."""
        self.unwatch()
        if self._file is not None:
            self._file.remove()
        self.sock.close()

    def _wait(self, callback: Callable[[], object]) -> None:
        self._timer = None
        assert self._loop is not None

        def readable() -> None:
            self.unwatch()
            callback()

        self._loop.add_reader(self.fileno(), readable)

    # --- over an exec of the Emperor ---

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs, as JSON has it; the descriptor stays open over an exec from now on."""
        self.sock.set_inheritable(True)
        file = self._file
        return {
            "name": self.name,
            "descriptor": self.fileno(),
            "path": None if file is None else os.fsdecode(file.path),
            "identity": None if file is None else list(file.identity),
            "pause": self._pause,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "OnDemandSocket":
        """Take one over from before the exec.

        Raises:
            OSError: it is not open.
        """
        sock = socket.socket(fileno=state["descriptor"])
        sock.set_inheritable(False)
        file = None
        if state["path"] is not None:
            device, inode = state["identity"]
            file = SocketFile.remembered(os.fsencode(state["path"]), (device, inode))
        restored = cls(state["name"], sock, file)
        restored._pause = state["pause"]
        return restored


# --- its name ---


def is_on_demand(config: EmperorConfig) -> bool:
    """Return True if vassals may be started by their first connection."""
    return bool(config.on_demand_extension or config.on_demand_directory or config.on_demand_exec)


def socket_name_of(file: VassalFile, config: EmperorConfig) -> str | None:
    """Return the address of a vassal's socket, of an extension or a directory; None: it starts at once.

    Args:
        file: its configuration.
        config: the Emperor's; the first of extension, directory and command that it has counts.

    Raises:
        OnDemandError: it can't be read.
    """
    if config.on_demand_extension is not None:
        return _named_in(file.path + config.on_demand_extension)
    if config.on_demand_directory is not None:
        stem = os.path.splitext(os.path.basename(file.name))[0]
        return os.path.join(config.on_demand_directory, f"{stem}.socket")
    return None


def _named_in(path: str) -> str | None:
    try:
        descriptor = open_file(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise OnDemandError(f"{path}: {exc.strerror}") from exc
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OnDemandError(f"{path}: it is no file")
        return first_word(os.read(descriptor, LONGEST_NAME))
    finally:
        os.close(descriptor)


def first_word(data: bytes) -> str | None:
    """Return what comes before the first control character; None: nothing."""
    end = next((at for at, byte in enumerate(data) if byte < _BLANK), len(data))
    return os.fsdecode(data[:end]).strip() or None


# --- binding ---


def bind_socket(
    name: str, directory: str, process: ProcessConfig
) -> tuple[socket.socket, SocketFile | None]:
    """Listen for an on-demand vassal.

    Args:
        name: its address: ``host:port`` with a number as host, ``:port``, ``[v6]:port``, or the path of a socket.
        directory: that a path begins in.
        process: backlog and socket options; everybody may connect, unless it has ``chmod-socket``.

    Raises:
        OnDemandError: it is no address, or can't be listened on.
    """
    try:
        address = parse_address(name)
    except AddressError as exc:
        raise OnDemandError(f"{name}: {exc}") from exc
    if isinstance(address, InetAddress) and address.is_name:
        raise OnDemandError(f"{name}: the host has to be a number")
    if isinstance(address, UnixAddress) and not address.is_abstract:
        name = os.path.join(directory, os.fsdecode(address.path))
    mode = _EVERYBODY if process.chmod_socket is None else process.chmod_socket
    try:
        first, *others = bind_stream(
            name,
            dataclasses.replace(process, chmod_socket=mode),
            Inherited(),
            server_first=True,
        )
    except BindError as exc:
        raise OnDemandError(str(exc)) from exc
    for other in others:
        other.close()
    # A plain program that accepts expects it so; one with an event loop sets it itself.
    first.sock.setblocking(True)
    return first.sock, first.file

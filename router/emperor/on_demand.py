"""Sockets of on-demand vassals: a vassal is started by the first connection, and its socket outlives it."""

import dataclasses
import gc
import os
import resource
import signal
import socket
import stat
from collections.abc import Callable, Mapping
from typing import Any, Final

from uwsgi_router.protocol.address import AddressError, InetAddress, UnixAddress, parse_address
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.core.files import open_file
from uwsgi_router.router.emperor import kernel
from uwsgi_router.router.emperor.identity import become
from uwsgi_router.router.emperor.vassal_file import VassalFile
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BindError, bind_stream
from uwsgi_router.router.net.unix_file import SocketFile
from uwsgi_router.router.supervision.loop import SelectorLoop, Timer
from uwsgi_router.router.supervision.process import (
    ChildCommand,
    cause_of,
    fork_child,
    reap,
    spawn,
    unblock_signals,
)

#: Seconds that finding a name, and binding it, may take.
PATIENCE: Final = 30.0
#: Seconds before a vassal that has served nobody is started again, at first; they double, up to the second number.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0

_LONGEST_NAME: Final = 4096
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
        if served:
            self._pause = 0.0
        else:
            self._pause = min(self._longest, self._pause * 2 or self._first)

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
        return _first_word(os.read(descriptor, _LONGEST_NAME))
    finally:
        os.close(descriptor)


def _first_word(data: bytes) -> str | None:
    """Return what comes before the first control character; None: nothing."""
    end = next((at for at, byte in enumerate(data) if byte < _BLANK), len(data))
    return os.fsdecode(data[:end]).strip() or None


def _printed(file: VassalFile, command: str) -> str | None:
    """Run a command with a vassal's name, and read what it prints; blocks."""
    reader, writer = os.pipe()

    def prepare() -> None:
        kernel.set_parent_death_signal(signal.SIGKILL)
        os.dup2(writer, 1)

    # The name is the shell's $0, not a part of what it reads: names may hold anything.
    argv = ["/bin/sh", "-c", f'{command} "$0"', file.name]
    pid = spawn(ChildCommand(argv, os.environ, file.directory, prepare=prepare))
    os.close(writer)
    with open(reader, "rb") as output:
        data = output.read(_LONGEST_NAME)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OnDemandError(f"emperor-on-demand-exec has ended ({cause_of(code)})")
    return _first_word(data)


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


def find_socket(
    loop: SelectorLoop,
    file: VassalFile,
    config: EmperorConfig,
    process: ProcessConfig,
    done: Callable[[OnDemandSocket | None, str], object],
    *,
    patience: float = PATIENCE,
) -> "SocketSearch | None":
    """Find out how a vassal starts, and listen for it if it starts on demand.

    Args:
        loop: waits.
        file: its configuration.
        config: the Emperor's.
        process: see :func:`bind_socket`.
        done: called once, perhaps before this returns: with the socket; with None and "" if the vassal starts at once;
            with None and what is wrong.
        patience: seconds that a command, and another user's directory, may take.

    Returns:
        The search, if it goes on.
    """
    try:
        name = socket_name_of(file, config)
        asks = config.on_demand_extension is None and config.on_demand_directory is None
        command = config.on_demand_exec if asks else None
        if name is None and command is None:
            done(None, "")
            return None
        if command is not None or config.tyrant:
            return SocketSearch(loop, file, config, process, name, done, patience)
        assert name is not None
        sock, made = bind_socket(name, file.directory, process)
    except (OnDemandError, OSError) as exc:
        done(None, str(exc))
        return None
    done(OnDemandSocket(name, sock, made), "")
    return None


class SocketSearch:
    """Search for a vassal's socket in a process of its own.

    There a command may take its time, and a socket is bound with the rights of the vassal's owner, as whom root would
    bind anything anywhere.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        file: VassalFile,
        config: EmperorConfig,
        process: ProcessConfig,
        name: str | None,
        done: Callable[[OnDemandSocket | None, str], object],
        patience: float,
    ) -> None:
        self._loop, self._done = loop, done
        self._ours, theirs = socket.socketpair()
        number = theirs.fileno()
        with theirs:
            self._pid = fork_child(lambda: _search(file, config, process, name, number))
        self._pidfd = os.pidfd_open(self._pid)
        self._timer = loop.call_later(patience, self._late, patience)
        loop.add_reader(self._ours.fileno(), self._answered)

    def cancel(self) -> None:
        """End it; ``done`` is not called."""
        if self._pidfd >= 0:
            self._end()

    def _answered(self) -> None:
        data, descriptors, _flags, _ = socket.recv_fds(self._ours, 2 * _LONGEST_NAME, 1)
        self._end()
        what, _, rest = os.fsdecode(data).partition(" ")
        if not descriptors:
            if what == "none":
                self._done(None, "")
            else:
                self._done(None, rest or "the process that was to listen has died")
            return
        device, inode, path, name = rest.split("\0", 3)
        sock = socket.socket(fileno=descriptors[0])
        sock.set_inheritable(False)
        made = SocketFile.remembered(os.fsencode(path), (int(device), int(inode))) if path else None
        self._done(OnDemandSocket(name, sock, made), "")

    def _late(self, patience: float) -> None:
        self._end()
        self._done(None, f"no answer within {patience:g} s")

    def _end(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._ours.fileno())
        self._ours.close()
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        # Whoever waits for a dead file system dies later.
        if reap(self._pid) is None:
            pid, pidfd = self._pid, self._pidfd
            self._loop.add_reader(pidfd, lambda: _bury(self._loop, pid, pidfd))
        else:
            os.close(self._pidfd)
        self._pidfd = -1


def _bury(loop: SelectorLoop, pid: int, pidfd: int) -> None:
    if reap(pid) is not None:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _search(
    file: VassalFile, config: EmperorConfig, process: ProcessConfig, name: str | None, number: int
) -> None:
    """Search, in the child; answer over a socket."""
    gc.disable()
    os.closerange(3, number)
    os.closerange(number + 1, max(number + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    answer = socket.socket(fileno=number)
    kernel.set_parent_death_signal(signal.SIGKILL)
    unblock_signals()
    try:
        if name is None and config.on_demand_exec is not None:
            name = _printed(file, config.on_demand_exec)
        if name is None:
            answer.sendall(b"none ")
            os._exit(0)
        if config.tyrant:
            become(file.uid, file.gid)
        sock, made = bind_socket(name, file.directory, process)
        device, inode, path = (*made.identity, os.fsdecode(made.path)) if made else (0, 0, "")
        text = f"found {device}\0{inode}\0{path}\0{name}"
        socket.send_fds(answer, [os.fsencode(text)], [sock.fileno()])
    except (OnDemandError, OSError) as exc:
        answer.sendall(b"fault " + os.fsencode(str(exc)[: _LONGEST_NAME // 2]))
    os._exit(0)

"""Search for the sockets of on-demand vassals: what may take its time, or other rights, has a process of its own."""

import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.emperor import kernel
from uwsgi_router.router.emperor.helper import become_helper
from uwsgi_router.router.emperor.identity import become
from uwsgi_router.router.emperor.on_demand import (
    LONGEST_NAME,
    OnDemandError,
    OnDemandSocket,
    bind_socket,
    first_word,
    socket_name_of,
)
from uwsgi_router.router.emperor.vassal_file import VassalFile
from uwsgi_router.router.net.unix_file import SocketFile
from uwsgi_router.router.supervision.loop import SelectorLoop, Timer
from uwsgi_router.router.supervision.process import (
    ChildCommand,
    cause_of,
    fork_watched,
    reap,
    spawn,
)
from uwsgi_router.router.supervision.sessions import end_sessions

#: Seconds that finding a name, and binding it, may take.
PATIENCE: Final = 30.0
#: Processes at once that do so.
MOST_SEARCHES: Final = 16

Done = Callable[[OnDemandSocket | None, str], object]


class SocketFinder:
    """Finder of sockets of on-demand vassals.

    Args:
        loop: waits.
        config: the Emperor's.
        process: see :func:`bind_socket`.
        patience: seconds that a command, and another user's directory, may take.
        most: processes at once that search.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        config: EmperorConfig,
        process: ProcessConfig,
        *,
        patience: float = PATIENCE,
        most: int = MOST_SEARCHES,
    ) -> None:
        self.loop, self.config, self.process = loop, config, process
        self.patience, self._most = patience, most
        self._running: set[SocketSearch] = set()
        self._waiting: deque[SocketSearch] = deque()

    def find(self, file: VassalFile, done: Done) -> "SocketSearch | None":
        """Find out how a vassal starts, and listen for it if it starts on demand.

        Args:
            file: its configuration.
            done: called once, perhaps before this returns: with the socket; with None and "" if the vassal starts at
                once; with None and what is wrong.

        Returns:
            The search, if it goes on.
        """
        config = self.config
        try:
            name = socket_name_of(file, config)
            asks = config.on_demand_extension is None and config.on_demand_directory is None
            command = config.on_demand_exec if asks else None
            if name is None and command is None:
                done(None, "")
                return None
            if command is not None or config.tyrant:
                search = SocketSearch(self, file, name, done)
                self._waiting.append(search)
                self._begin()
                return search
            assert name is not None
            sock, made = bind_socket(name, file.directory, self.process)
        except (OnDemandError, OSError) as exc:
            done(None, str(exc))
            return None
        done(OnDemandSocket(name, sock, made), "")
        return None

    def over(self, search: "SocketSearch") -> None:
        """Take that a search has ended, or is not wanted any more."""
        self._running.discard(search)
        if search in self._waiting:
            self._waiting.remove(search)
        self._begin()

    def _begin(self) -> None:
        while self._waiting and len(self._running) < self._most:
            search = self._waiting.popleft()
            self._running.add(search)
            search.begin()


class SocketSearch:
    """Search for a vassal's socket in a process of its own.

    There a command may take its time, and a socket is bound with the rights of the vassal's owner, as whom root would
    bind anything anywhere.
    """

    def __init__(
        self, finder: SocketFinder, file: VassalFile, name: str | None, done: Done
    ) -> None:
        self._finder, self._loop = finder, finder.loop
        self._file, self._name, self._done = file, name, done
        self._ours: socket.socket | None = None
        self._pid = self._pidfd = -1
        self._timer: Timer | None = None
        self._over = False

    def begin(self) -> None:
        """Start the process."""
        finder = self._finder
        self._timer = self._loop.call_later(finder.patience, self._late, finder.patience)
        try:
            self._ours, theirs = socket.socketpair()
            with theirs:
                number = theirs.fileno()
                self._pid, self._pidfd = fork_watched(
                    lambda: _search(self._file, finder.config, finder.process, self._name, number)
                )
        except OSError as exc:
            text = f"no process can be made: {exc.strerror}"
            self._timer.cancel()
            # Not before the caller knows that there is a search.
            self._timer = self._loop.call_later(0, self._fail, text)
            return
        self._loop.add_reader(self._ours.fileno(), self._answered)

    def cancel(self) -> None:
        """End it; ``done`` is not called."""
        if not self._over:
            self._end()

    def _answered(self) -> None:
        assert self._ours is not None
        data, descriptors, _flags, _ = socket.recv_fds(self._ours, 2 * LONGEST_NAME, 1)
        self._end(answered=True)
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
        self._fail(f"no answer within {patience:g} s")

    def _fail(self, text: str) -> None:
        self._end()
        self._done(None, text)

    def _end(self, *, answered: bool = False) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._ours is not None:
            self._loop.remove_reader(self._ours.fileno())
            self._ours.close()
        if self._pidfd >= 0:
            self._kill(answered=answered)
        self._finder.over(self)

    def _kill(self, *, answered: bool) -> None:
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if not answered:
            # Its command may hang in a process of its own.
            end_sessions({self._pid}, spared={self._pid})
        # Whoever waits for a dead file system dies later.
        if reap(self._pid) is None:
            pid, pidfd = self._pid, self._pidfd
            self._loop.add_reader(pidfd, lambda: _bury(self._loop, pid, pidfd))
        else:
            os.close(self._pidfd)


def _bury(loop: SelectorLoop, pid: int, pidfd: int) -> None:
    if reap(pid) is not None:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _search(
    file: VassalFile, config: EmperorConfig, process: ProcessConfig, name: str | None, number: int
) -> None:
    """Search, in the child; answer over a socket."""
    become_helper([number])
    answer = socket.socket(fileno=number)
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
        answer.sendall(b"fault " + os.fsencode(str(exc)[: LONGEST_NAME // 2]))
    os._exit(0)


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
        data = output.read(LONGEST_NAME)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OnDemandError(f"emperor-on-demand-exec has ended ({cause_of(code)})")
    return first_word(data)

"""Master: keeps the processes of the routers running, from the start to the last one's end."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Final

from uwsgi_router.router.app.file_watch import FileWatch
from uwsgi_router.router.app.master.beats import Beats
from uwsgi_router.router.app.master.children import Children, told, user_of
from uwsgi_router.router.app.master.generation import Child, Generation, Stage
from uwsgi_router.router.app.master.launch import Launch
from uwsgi_router.router.app.master.sockets import MasterSockets
from uwsgi_router.router.app.process import environment
from uwsgi_router.router.app.process.limits import raise_descriptor_limit, warn_of_short_backlog
from uwsgi_router.router.app.process.pidfile import PidFile
from uwsgi_router.router.app.process.title import set_title
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.core.log import log_file, setup
from uwsgi_router.router.net.activation import Inherited, SystemdNotifier
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.supervision.channel import Message
from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.router.supervision.process import cause_of, reap_strangers
from uwsgi_router.version import __version__, build

log = logging.getLogger("uwsgi-router.master")
_log_start = logging.getLogger("uwsgi-router")
_log_signals = logging.getLogger("uwsgi-router.signals")

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Master:
    """Master of the routers of a configuration.

    Args:
        launch: how this process was started.
        configuration: checked already.
        inherited: sockets that were open at the start.
        notifier: of the service manager.

    Attributes:
        generations: the newest last.
        status: the exit status.
    """

    def __init__(
        self,
        launch: Launch,
        configuration: Configuration,
        inherited: Inherited,
        notifier: SystemdNotifier,
    ) -> None:
        self._launch = launch
        self._notifier = notifier
        self._loop = SelectorLoop()
        self._sockets = MasterSockets(inherited.sockets)
        self._beats = Beats()
        self._children = Children(self._loop, launch, self._sockets, self._beats, self)
        self._file_watch: FileWatch | None = None
        self._pidfiles: list[PidFile] = []
        self._stops = 0
        self.status = 0
        self.generations = [Generation(1, configuration)]

    @property
    def newest(self) -> Generation:
        """The newest generation."""
        return self.generations[-1]

    def run(self) -> int:
        """Start, serve until a signal ends it, and return the exit status.

        Raises:
            StartError: if it can't start, with the one line for the operator.
        """
        configuration = self.newest.configuration
        process = configuration.process
        environment.enter_directory(process)
        setup(process)
        for line in configuration.warnings:
            log.warning("%s", line)
        set_title(process.procname, process.procname_prefix)
        raise_descriptor_limit()
        warn_of_short_backlog(process.listen)
        try:
            for path in (process.pidfile, process.safe_pidfile):
                if path is not None:
                    self._pidfiles.append(PidFile(path))
            self._take_signals()
            self._start(self.newest)
            self._loop.run()
        finally:
            self._sockets.close()
            for pidfile in self._pidfiles:
                pidfile.remove()
            self._loop.close()
        return self.status

    # --- children ---

    def _start(self, generation: Generation) -> None:
        """Start the processes of a generation."""
        configuration = generation.configuration
        if configuration.routers:
            name = "worker 1"
            generation.children.append(self._children.make(generation, "worker", 0, name))
        for number, name in enumerate(configuration.jails):
            text = f"the {name} router"
            generation.children.append(self._children.make(generation, "jail", number, text))
        for child in generation.children:
            child.program.start()

    def child_told(self, child: Child, message: Message) -> None:
        """Take what a child says."""
        members = message.members
        if "failed" in members:
            self._failed(child, str(members["failed"]))
        elif "ready" in members:
            child.loop = members.get("loop", "")
            child.program.ready()
            if self.newest.stage is Stage.STARTING and self.newest.ready:
                self._serving(self.newest)
        message.close()

    def child_ended(self, child: Child, code: int) -> None:
        """Take that a child's process has ended."""
        if self._stops:
            if not any(True for _ in self._running()):
                self._loop.stop()
            return
        if not child.program.machine.was_ready:
            self._failed(
                child, f"{child.program.name} has ended before it was ready ({cause_of(code)})"
            )

    def _running(self) -> Iterator[Child]:
        """Yield all that have a process."""
        for generation in self.generations:
            yield from generation.running

    def _failed(self, child: Child, why: str) -> None:
        """Take that a child can't start."""
        if child.program.machine.was_ready:
            log.error("%s can't start again: %s", child.program.name, why)
            return
        if not self._stops:
            sys.stderr.write(f"uwsgi-router: {why}\n")
            self.status = 1
            self._stop_now()

    def _serving(self, generation: Generation) -> None:
        """Note that a generation serves."""
        generation.stage = Stage.SERVING
        for unused in self._sockets.unused():
            log.warning(
                "the inherited socket %d (%s) is not in the configuration", unused.fd, unused.name
            )
        self._watch_files()
        _log_start.info(
            "uwsgi-router %s (%s) is ready, pid %d, %s",
            __version__,
            build(),
            os.getpid(),
            next((child.loop for child in generation.children if child.loop), "no event loop"),
        )
        self._notifier.ready("serving")

    # --- files of sockets ---

    def _watch_files(self) -> None:
        if self._file_watch is not None:
            self._file_watch.close()
        for bound in self._sockets.watched():
            bound.on_replaced = self._replacing(bound)
        process = self.newest.configuration.process
        self._file_watch = FileWatch(self._sockets.watched(), process, self._loop, lambda: None)
        self._file_watch.start()

    def _replacing(self, bound: BoundSocket) -> Callable[[socket.socket, socket.socket], None]:
        """Return a function that tells the children of another socket."""

        def replaced(new: socket.socket, _old: socket.socket) -> None:
            for (kind, text), place in self._sockets.keys_of(bound):
                for child in self._running():
                    child.tell(new.fileno(), do="replace", kind=kind, text=text, place=place)

        return replaced

    # --- signals ---

    def _take_signals(self) -> None:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._loop.on_signals(_STOPPING, self._stop_signal)
        self._loop.on_signals([signal.SIGCHLD], self._child_signal)
        self._loop.on_signals([signal.SIGUSR1], self._reopen)
        self._loop.on_signals([signal.SIGUSR2], self._tell_status)
        self._loop.on_signals([signal.SIGHUP], self._reload)

    def _child_signal(self, _number: int) -> None:
        if os.getpid() == 1:
            reap_strangers({child.program.pid for child in self._running()})

    def _stop_signal(self, number: int) -> None:
        name = signal.Signals(number).name
        if self._stops > 1:
            _log_signals.warning("%s: forced", name)
            for child in self._running():
                child.program.kill(again=False)
            self.status = 1
            self._loop.stop()
        elif number == signal.SIGTERM and not self._stops:
            _log_signals.info(
                "SIGTERM: finishing the requests under way; a second signal stops at once"
            )
            self._stop()
        else:
            _log_signals.info("%s: stopping at once", name)
            self._stop_now()

    def _stop(self) -> None:
        """Let the children finish what runs, and end."""
        self._stops = 1
        self._notifier.stopping("finishing requests")
        mercy = self.newest.configuration.process.reload_mercy
        self._end(do="stop", mercy=mercy)

    def _stop_now(self) -> None:
        self._stops = 2
        self._end(do="stop-now", mercy=0.0)

    def _end(self, *, do: str, mercy: float) -> None:
        if self._file_watch is not None:
            self._file_watch.close()
        self._sockets.unlink()
        children = list(self._running())
        told(children, do=do, mercy=mercy)
        for generation in self.generations:
            for child in generation.children:
                child.program.stop(mercy=mercy)
        self._sockets.close()
        if not children:
            self._loop.stop()

    def _reopen(self, number: int) -> None:
        _log_signals.info("%s: log files are opened again", signal.Signals(number).name)
        file = log_file()
        if file is not None:
            file.reopen()
        told(self._running(), do="reopen")

    def _tell_status(self, number: int) -> None:
        name = signal.Signals(number).name
        for child in self._running():
            beat = self._beats.read(child.beat)
            _log_signals.info(
                "%s: %s, pid %d, generation %s: %d connections, %d requests running, %d since it started",
                name,
                child.program.name,
                child.program.pid,
                user_of(child),
                beat.connections,
                beat.running,
                beat.requests,
            )

    def _reload(self, number: int) -> None:
        _log_signals.info("%s: nothing is reloaded yet", signal.Signals(number).name)

"""Master: keeps the processes of the routers running, from the start to the last one's end."""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from uwsgi_router.router.app.master.beats import Beats
from uwsgi_router.router.app.master.children import told, user_of
from uwsgi_router.router.app.master.commands import Commands, Deeds
from uwsgi_router.router.app.master.emperor import Emperor
from uwsgi_router.router.app.master.fleet import Fleet
from uwsgi_router.router.app.master.generation import ChildProcess, Generation
from uwsgi_router.router.app.master.harakiri import Harakiri, stuck_for
from uwsgi_router.router.app.master.lasting import EMPERORS, emperor_only, pass_on
from uwsgi_router.router.app.master.launch import Launch
from uwsgi_router.router.app.master.manager import ServiceManager
from uwsgi_router.router.app.master.reload import Reload, execute
from uwsgi_router.router.app.master.sockets import MasterSockets
from uwsgi_router.router.app.master.surroundings import Surroundings
from uwsgi_router.router.app.master.value import load
from uwsgi_router.router.app.master.zerg_pools import ZergPools
from uwsgi_router.router.app.process import environment
from uwsgi_router.router.app.process.early_stop import end_by
from uwsgi_router.router.app.process.handover import hand_over
from uwsgi_router.router.app.process.identity import identity
from uwsgi_router.router.app.process.limits import raise_descriptor_limit, warn_of_short_backlog
from uwsgi_router.router.app.process.pidfile import PidFile
from uwsgi_router.router.app.process.privileges import gain_no_privileges
from uwsgi_router.router.app.process.title import set_title
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import Configuration, ProcessConfig
from uwsgi_router.router.core.log import log_file, setup
from uwsgi_router.router.supervision.channel import Message
from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.router.supervision.memory_file import read_memory_file
from uwsgi_router.router.supervision.process import reap_strangers
from uwsgi_router.version import __version__, build

log = logging.getLogger("uwsgi-router.master")
_log_start = logging.getLogger("uwsgi-router")
_log_signals = logging.getLogger("uwsgi-router.signals")

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Master:
    """Master of the routers of a configuration.

    Args:
        launch: how this process was started.
        sockets: that are open already.
        surroundings: who is told of its life.
        beats: heartbeats of children; None: there are none yet.
        reloads: descriptor of what is published of reloads; -1: none yet.

    Attributes:
        fleet: its processes.
        reload: its reloads.
        status: the exit status.
    """

    def __init__(
        self,
        launch: Launch,
        sockets: MasterSockets,
        surroundings: Surroundings,
        beats: Beats | None = None,
        reloads: int = -1,
    ) -> None:
        self._launch = launch
        self._loop = SelectorLoop()
        self.fleet = Fleet(self._loop, launch, sockets, beats or Beats(), self)
        self.reload = Reload(self._loop, launch, self.fleet, self._execute, reloads)
        self._manager = ServiceManager(
            self._loop, self.fleet, surroundings.notifier, surroundings.watchdog
        )
        self._emperor = Emperor(
            self._loop,
            surroundings.emperor,
            stop=self._stop_now,
            finish=self._stop,
            reload=self.reload.ask,
        )
        self._commands = Commands(
            self._loop,
            Deeds(
                self.reload.ask,
                lambda who: self._finish(f"{who}: finishing the requests under way"),
                lambda who: self._stop_at_once(f"{who}: stopping at once"),
                self._reopen,
                self._tell_status,
            ),
        )
        self._zerg_pools = ZergPools(self._loop, sockets)
        self._pidfiles: dict[str, PidFile] = {}
        self._process = ProcessConfig()
        self._stops = 0
        self._ended_by = 0
        self.status = 0

    # --- its life ---

    def run(self, configuration: Configuration) -> int:
        """Start, serve until a signal ends it, and return the exit status.

        Args:
            configuration: checked already.

        Raises:
            StartError: if it can't start, with the one line for the operator.
        """
        try:
            self._enter(configuration)
            for line in configuration.warnings:
                log.warning("%s", line)
            warn_of_short_backlog(configuration.process.listen)
            self._take_signals()
            self._emperor.spawned()
            self.fleet.start(configuration)
            self._loop.run()
        finally:
            self._close()
        if self._ended_by:
            end_by(self._ended_by)
        return self.status

    @classmethod
    def resumed(cls, launch: Launch, state: Mapping[str, Any]) -> "Master":
        """Return the master that has executed itself.

        Args:
            launch: how it was started.
            state: what it has left for itself.
        """
        fleet, reload = state["fleet"], state["reload"]
        for descriptor in (fleet["beats"], reload["descriptor"]):
            os.set_inheritable(descriptor, False)
        return cls(
            launch,
            MasterSockets.restore(fleet["sockets"]),
            Surroundings.restore(state["surroundings"]),
            Beats(fleet["beats"]),
            reload["descriptor"],
        )

    def go_on(self, state: Mapping[str, Any]) -> int:
        """Go on with a reload after an exec; return the exit status."""
        try:
            self.fleet.restore(state["fleet"])
            self.reload.restore(state["reload"])
            serving = self.fleet.serving
            assert serving is not None
            self._enter(serving.configuration)
            self._take_signals()
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            self._reap()
            self._start_again(state["configuration"])
            self._loop.run()
        finally:
            self._close()
        return self.status

    def _start_again(self, descriptor: int) -> None:
        try:
            configuration = load(read_memory_file(descriptor))
        except StartError as error:
            os.close(descriptor)
            self.reload.failed(str(error))
            return
        for line in configuration.warnings:
            log.warning("%s", line)
        self.fleet.start(configuration, descriptor)

    def _enter(self, configuration: Configuration) -> None:
        """Take over what a configuration says of this process."""
        process = self._process = configuration.process
        environment.enter_directory(process)
        setup(process)
        set_title(process.procname or "uwsgi-router", process.procname_prefix)
        raise_descriptor_limit()
        self._write_pidfiles(process)
        environment.restrict_new_files(process)
        # Vassals may run what gives them other rights.
        if os.geteuid() == 0 and process.uid is not None and not configuration.emperor.places:
            gain_no_privileges()
        self._commands.take(process)
        self._give_sockets(process)
        Harakiri(self._loop, self.fleet)
        self._look_at_beats()

    def _change(self, process: ProcessConfig) -> None:
        """Take over what a new configuration says of this process."""
        before, self._process = self._process, process
        try:
            os.chdir(self._launch.directory)
            os.umask(self._launch.umask)
            environment.enter_directory(process)
            if (before.logto, before.log_date) != (process.logto, process.log_date):
                logging.getLogger().handlers.clear()
                setup(process)
            set_title(process.procname or "uwsgi-router", process.procname_prefix)
            self._write_pidfiles(process)
            self._commands.take(process)
            self._give_sockets(process)
        except (StartError, OSError) as error:
            log.error("the master goes on as it was: %s", error)  # noqa: TRY400 - one line

    def _give_sockets(self, process: ProcessConfig) -> None:
        self._zerg_pools.take(process)
        self.fleet.users = {self._zerg_pools.user}

    def _write_pidfiles(self, process: ProcessConfig) -> None:
        wanted = [one for one in (process.pidfile, process.safe_pidfile) if one is not None]
        for path in [path for path in self._pidfiles if path not in wanted]:
            self._pidfiles.pop(path).remove()
        for path in wanted:
            if path not in self._pidfiles:
                self._pidfiles[path] = PidFile(path)

    def _close(self) -> None:
        self.fleet.sockets.close()
        for pidfile in self._pidfiles.values():
            pidfile.remove()
        self._loop.close()

    # --- what becomes of the processes ---

    def serving(self, generation: Generation) -> None:
        """Take that a generation serves."""
        for unused in self.fleet.sockets.unused():
            log.warning(
                "the inherited socket %d (%s) is not in the configuration", unused.fd, unused.name
            )
        names = (child.loop for child in generation.children if child.loop)
        _log_start.info(
            "uwsgi-router %s (%s) is ready, pid %d, %s",
            __version__,
            build(),
            os.getpid(),
            next(names, "no event loop"),
        )
        if generation.number > 1:
            self._change(generation.configuration.process)
        self._manager.serving()
        self._emperor.accepting()
        if generation.configuration.emperor.places:
            # As uWSGI has it: who governs is loyal.
            self._emperor.answered()
        self.reload.took_over()

    def failed(self, generation: Generation, why: str) -> None:
        """Take that a generation could not start."""
        if generation.number == 1:
            sys.stderr.write(f"uwsgi-router: {why}\n")
            self.status = 1
            self._stop_now()
        else:
            self._manager.serving()
            self.reload.failed(why)

    def gone(self) -> None:
        """Take that a process has ended."""
        if self._stops:
            if not any(True for _ in self.fleet.running()):
                self._loop.stop()
        else:
            self.reload.look()

    def asked(self, child: ChildProcess, message: Message) -> None:  # noqa: ARG002
        """Take what a child says."""
        members = message.members
        if "buried" in members:
            # Somebody has ended the Emperor itself; without routers it is all there is.
            if emperor_only(self.fleet.running()):
                self._stop()
        elif "reload" in members:
            waiting = [socket.socket(fileno=one) for one in message.descriptors]
            self.reload.ask(f"{members['reload']} at the control socket", *waiting[:1])

    def _look_at_beats(self) -> None:
        """Tell an Emperor that the processes turn, and that they are of use."""
        if self._emperor.descriptor < 0:
            return
        beats = [self.fleet.beats.read(child.beat) for child in self.fleet.running()]
        if any(beat.requests > beat.running for beat in beats):
            self._emperor.answered()
        heartbeat, now = self._process.heartbeat, self._loop.time()
        if heartbeat and all(stuck_for(beat, now) < max(heartbeat, 2.0) for beat in beats):
            self._emperor.beat()
        self._loop.call_later(min(heartbeat or 1.0, 1.0), self._look_at_beats)

    # --- signals ---

    def _take_signals(self) -> None:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._loop.on_signals(_STOPPING, self._stop_signal)
        self._loop.on_signals([signal.SIGCHLD], self._child_signal)
        self._loop.on_signals([signal.SIGUSR1], lambda _number: self._reopen("SIGUSR1"))
        self._loop.on_signals([signal.SIGUSR2], lambda _number: self._tell_status("SIGUSR2"))
        self._loop.on_signals([signal.SIGHUP], lambda _number: self.reload.ask("SIGHUP"))
        self._loop.on_signals(EMPERORS, lambda number: pass_on(number, self.fleet.running()))

    def _child_signal(self, _number: int) -> None:
        self._reap()

    def _reap(self) -> None:
        """Reap children that nobody knows: orphans, as process 1, and those that were given up before an exec."""
        known = {child.program.pid for child in self.fleet.running()}
        reap_strangers(known | {self.reload.pid})

    def _stop_signal(self, number: int) -> None:
        name = signal.Signals(number).name
        if self.fleet.serving is None and not self._stops:
            # There is nothing to finish, and no service to have ended in order.
            self._ended_by = number
            self._stop_now()
        elif self._stops > 1:
            _log_signals.warning("%s: forced", name)
            self.fleet.kill()
            self.status = 1
            self._loop.stop()
        elif number == signal.SIGTERM and not self._stops:
            self._finish("SIGTERM: finishing the requests under way; a second signal stops at once")
        else:
            self._stop_at_once(f"{name}: stopping at once")

    def _finish(self, why: str) -> None:
        _log_signals.info("%s", why)
        self._stop()

    def _stop_at_once(self, why: str) -> None:
        _log_signals.info("%s", why)
        self._stop_now()

    def _stop(self) -> None:
        """Let the children finish what runs, and end."""
        if self._stops:
            return
        self._stops = 1
        self._manager.notifier.stopping("finishing requests")
        self._end(do="stop", mercy=self._process.reload_mercy)

    def _stop_now(self) -> None:
        self._stops = 2
        self._end(do="stop-now", mercy=0.0)

    def _end(self, *, do: str, mercy: float) -> None:
        self.reload.cancel()
        if not self.fleet.end(do=do, mercy=mercy):
            self._loop.stop()

    def _reopen(self, who: str) -> None:
        _log_signals.info("%s: log files are opened again", who)
        file = log_file()
        serving = self.fleet.serving
        if file is not None:
            file.reopen()
            if serving is not None:
                # The workers open it by its name, too.
                configuration = serving.configuration
                hand_over(identity(configuration.process, configuration.routers), (), None)
        told(self.fleet.running(), do="reopen")

    def _tell_status(self, who: str) -> None:
        for child in self.fleet.running():
            beat = self.fleet.beats.read(child.beat)
            text = "%s: %s, pid %d, of generation %s: %d connections, %d requests running, %d answered or failed"
            numbers = beat.connections, beat.running, beat.requests - beat.running
            _log_signals.info(
                text, who, child.program.name, child.program.pid, user_of(child), *numbers
            )

    # --- exec ---

    def _execute(self, configuration: int) -> str:
        """Execute this program again; return why that is not possible."""
        state = {
            "pid": os.getpid(),
            "fleet": self.fleet.state(),
            "reload": self.reload.state(),
            "configuration": configuration,
            "surroundings": {
                "notify": self._manager.notifier.address,
                "watchdog": self._manager.watchdog,
                "emperor": self._emperor.descriptor,
            },
        }
        kept = [*self.fleet.descriptors(), *self.reload.descriptors(), configuration]
        if self._emperor.descriptor >= 0:
            kept.append(self._emperor.descriptor)
        self._manager.notifier.reloading(time.monotonic_ns() // 1000, "reloading")
        why = execute(self._launch, state, kept)
        self._manager.serving()
        return why

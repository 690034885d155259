"""Process of the Emperor: a child of the master, or the whole program where there is none."""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from uwsgi_router.router.app.child import BEAT, MasterLink
from uwsgi_router.router.app.emperor_sockets import bind_controls, bind_wanted
from uwsgi_router.router.app.master.assignment import Assignment
from uwsgi_router.router.app.master.beats import Beat
from uwsgi_router.router.app.master.launch import CHILD, Launch, taken_descriptor
from uwsgi_router.router.app.master.session_table import SessionTable
from uwsgi_router.router.app.master.value import load
from uwsgi_router.router.app.process import environment
from uwsgi_router.router.app.process.identity import identity
from uwsgi_router.router.app.process.limits import raise_descriptor_limit
from uwsgi_router.router.app.process.pidfile import PidFile
from uwsgi_router.router.app.process.privileges import drop
from uwsgi_router.router.app.process.title import set_title
from uwsgi_router.router.app.vassal_sockets import open_to_all
from uwsgi_router.router.config import table
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.core.log import log_file, setup
from uwsgi_router.router.emperor.control import EmperorControl
from uwsgi_router.router.emperor.document import describe, encode
from uwsgi_router.router.emperor.government import Government
from uwsgi_router.router.emperor.hooks.runner import run_emperor_start
from uwsgi_router.router.emperor.identity import check_emperor
from uwsgi_router.router.emperor.metrics import metrics
from uwsgi_router.router.emperor.monitors.registry import open_monitor
from uwsgi_router.router.emperor.stats_server import EmperorStats
from uwsgi_router.router.emperor.succession import inherit, leave
from uwsgi_router.router.emperor.wanted import WantedKeys
from uwsgi_router.router.net.activation import Inherited, SystemdNotifier
from uwsgi_router.router.net.listeners import BoundSocket, bind_stream
from uwsgi_router.router.supervision.channel import Message
from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.router.supervision.memory_file import read_memory_file, write_memory_file

log = logging.getLogger("uwsgi-router.emperor")

#: Variable with the descriptor of what an Emperor has left for itself over an exec.
LEGACY: Final = "_UWSGI_ROUTER_EMPEROR"
TITLE: Final = "uWSGI Emperor"
#: Seconds that vassals have if everything is to end at once, or the master is gone.
AT_ONCE: Final = 5.0
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def reign(assignment: Assignment) -> int:
    """Be the Emperor of a master until that says otherwise; return the exit status."""
    descriptor = taken_descriptor(LEGACY)
    environ = dict(os.environ)
    link = MasterLink(assignment)
    try:
        EmperorProcess(link.configuration, MasterTies(link, environ)).run(descriptor)
    except StartError as error:
        if not link.send(failed=str(error)):
            sys.stderr.write(f"uwsgi-router: {error}\n")
        return 1
    return 0


def reign_alone(configuration: Configuration) -> int:
    """Be an Emperor without a master, until a signal ends it; return the exit status.

    Raises:
        StartError: if it can't start, with the one line for the operator.
    """
    EmperorProcess(configuration, NoTies()).run(None)
    return 0


class EmperorTies(Protocol):
    """Ties of an Emperor to whoever has started it."""

    @property
    def inherited(self) -> Inherited:
        """Sockets that are open already, or are opened by somebody else."""

    def begin(self, loop: SelectorLoop, emperor: "EmperorProcess") -> None:
        """Say that it governs, and listen."""

    def session(self, pid: int, begun: bool) -> None:
        """Note that a vassal has begun, or is gone."""

    def ended(self, *, asked: bool) -> None:
        """Say that it is over; ``asked``: by whoever has started it."""


class NoTies:
    """Ties of an Emperor that nobody has started."""

    def __init__(self) -> None:
        self._notifier = SystemdNotifier.from_environment(os.environ)
        self.inherited = Inherited.from_environment(os.environ, os.getpid())
        self._said = ""

    def begin(self, loop: SelectorLoop, emperor: "EmperorProcess") -> None:
        """Tell the service manager."""

        def tell() -> None:
            text = f"The Emperor is governing {len(emperor.government.vassals)} vassals"
            if text != self._said:
                self._said = text
                self._notifier.status(text)
            loop.call_later(BEAT, tell)

        self._notifier.ready("governing")
        tell()

    def session(self, pid: int, begun: bool) -> None:
        """Nobody would know."""

    def ended(self, *, asked: bool) -> None:  # noqa: ARG002
        """Tell the service manager."""
        self._notifier.status("The Emperor is buried.")


class MasterTies:
    """Ties of an Emperor to its master.

    Args:
        link: to the master.
        environ: as it was at the start of this process.
    """

    def __init__(self, link: MasterLink, environ: Mapping[str, str]) -> None:
        self._link = link
        self._environ = environ
        self.inherited = link.inherited
        self._sessions = SessionTable(link.assignment.sessions)

    def begin(self, loop: SelectorLoop, emperor: "EmperorProcess") -> None:
        """Say that it governs, and listen."""
        link = self._link

        def told(message: Message) -> None:
            self._obey(message, emperor)

        def gone() -> None:
            log.error("the master is gone")
            emperor.end(AT_ONCE, asked=True)

        link.listen(loop, told, gone)
        link.beat(loop, lambda: Beat(0.0, len(emperor.government.vassals)))
        link.send(ready=True, loop="")

    def _obey(self, message: Message, emperor: "EmperorProcess") -> None:
        members = message.members
        match members.get("do"):
            case "stop" | "drain":
                emperor.end(members["mercy"], asked=True)
            case "stop-now":
                emperor.end(AT_ONCE, asked=True)
            case "reopen":
                file = log_file()
                if file is not None:
                    file.reopen()
            case "become":
                if members["changed"]:
                    emperor.become(message, lambda: self._execute(message, emperor))
                    return
        message.close()

    def _execute(self, message: Message, emperor: "EmperorProcess") -> None:
        """Execute this program again, with the new configuration; return if that is not possible."""
        assignment = replace(
            self._link.assignment,
            generation=message.members["generation"],
            configuration=message.descriptors[0],
        )
        state, kept = leave(emperor.government)
        legacy = write_memory_file("legacy", json.dumps(state).encode())
        written = assignment.write()
        environ = {**self._environ, CHILD: str(written), LEGACY: str(legacy)}
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        kept = [*kept, *assignment.descriptors, written, legacy]
        for one in kept:
            os.set_inheritable(one, True)
        try:
            os.chdir(emperor.directory)
            os.execve(sys.executable, sys.orig_argv, environ)  # noqa: S606 - no shell is the point
        except OSError as exc:
            log.error("the Emperor goes on as it was: %s", exc.strerror)  # noqa: TRY400 - one line
        for one in kept:
            os.set_inheritable(one, False)
        os.close(written)
        os.close(legacy)
        message.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)

    def session(self, pid: int, begun: bool) -> None:
        """Note in the shared table that a vassal has begun, or is gone."""
        if begun:
            self._sessions.note(pid)
        else:
            self._sessions.forget(pid)

    def ended(self, *, asked: bool) -> None:
        """Say that it is over, if the master has not asked for that."""
        if not asked:
            self._link.send(buried=True)


class EmperorProcess:
    """Process of the Emperor.

    Args:
        configuration: of the program.
        ties: to whoever has started it.

    Attributes:
        government: its vassals, once it runs.
        directory: working directory at its start.
    """

    government: Government

    def __init__(self, configuration: Configuration, ties: EmperorTies) -> None:
        self._configuration = configuration
        self._ties = ties
        self._loop = SelectorLoop()
        self._stats: list[EmperorStats] = []
        self._control: EmperorControl | None = None
        self._wanted: WantedKeys | None = None
        self._pidfile: PidFile | None = None
        self.directory = os.getcwd()
        launch = Launch.of_this_process(sys.argv[1:])
        # Vassals start in other directories.
        self._program = [_absolute(word) for word in launch.program]
        self._open_files = launch.open_files
        self._asked = False
        self._stops = 0

    def run(self, legacy: int | None) -> None:
        """Govern until the last vassal has ended.

        Args:
            legacy: descriptor of what it has left for itself over an exec; None: it begins.

        Raises:
            StartError: if it can't start.
        """
        try:
            self._begin(legacy)
            self._loop.run()
            log.info("The Emperor is buried.")
            self._ties.ended(asked=self._asked)
        finally:
            for stats in self._stats:
                stats.close()
            if self._control is not None:
                self._control.close()
            if self._wanted is not None:
                self._wanted.close()
            if self._pidfile is not None:
                self._pidfile.remove()
            self._loop.close()

    def _begin(self, legacy: int | None) -> None:
        configuration, config = self._configuration, self._configuration.emperor
        process = configuration.process
        environment.apply(process)
        setup(process)
        set_title(config.procname or TITLE, process.procname_prefix)
        listeners = self._bind(legacy)
        controls = bind_controls(configuration)
        self._wanted = bind_wanted(self._loop, configuration)
        if config.pidfile is not None:
            self._pidfile = PidFile(config.pidfile)
        # Before that, as the new user may not be able to read where Python is installed: all options are known.
        table.names()
        if not config.early:
            drop(identity(process, ()), forever=False, quiet=process.uid is None)
        check_emperor(config)
        here = os.getcwd()
        monitors = [open_monitor(place, config, here) for place in config.places]
        self._take_signals()
        # Each vassal takes a pipe, an output and perhaps a socket.
        raise_descriptor_limit()
        self.government = Government(
            self._loop,
            config,
            process,
            monitors,
            program=self._program,
            environ=os.environ,
            write=write_lines,
            open_files=self._open_files,
        )
        self.government.on_over = self._loop.stop
        self.government.on_session = self._ties.session
        if listeners:
            self._stats.append(
                EmperorStats(
                    self._loop,
                    listeners,
                    lambda: encode(describe(self.government), minified=process.stats_minified),
                    lambda: metrics(self.government),
                    wait_for_http=process.stats_http,
                )
            )
        self._control = EmperorControl(self._loop, controls, self.government)
        if self._wanted is not None:
            self._wanted.begin(self.government)
        if config.tyrant:
            open_to_all(os.environ)
        if legacy is None:
            log.info("the Emperor governs %s", ", ".join(one.shown for one in monitors))
            run_emperor_start(config)
        else:
            inherit(self.government, json.loads(read_memory_file(legacy)))
            os.close(legacy)
            log.info("the Emperor goes on with %d vassals", len(self.government.vassals))
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self.government.start()
        self._ties.begin(self._loop, self)

    def _bind(self, legacy: int | None) -> list[BoundSocket]:
        """Listen for statistics; an Emperor that has vassals goes on without, if that is not possible."""
        found: list[BoundSocket] = []
        for text in self._configuration.emperor.stats:
            try:
                found += bind_stream(
                    text, self._configuration.process, self._ties.inherited, server_first=True
                )
            except StartError as error:
                if legacy is None:
                    raise
                log.error("emperor-stats: %s", error)  # noqa: TRY400 - one line
        return found

    def _take_signals(self) -> None:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        loop = self._loop
        loop.on_signals(_STOPPING, self._stop_signal)
        loop.on_signals([signal.SIGHUP], lambda _: self.government.reload_all("SIGHUP"))
        loop.on_signals([signal.SIGUSR1], lambda _: self.government.tell_status("SIGUSR1"))
        loop.on_signals([signal.SIGURG], lambda _: self.government.forgive_all("SIGURG"))
        loop.on_signals([signal.SIGWINCH], lambda _: self.government.scan())

    def _stop_signal(self, _number: int) -> None:
        self._stops += 1
        mercy = self._configuration.process.reload_mercy
        self.end(mercy if self._stops < 3 else 0.0, asked=False)

    def end(self, mercy: float, *, asked: bool) -> None:
        """End all vassals, and then itself.

        Args:
            mercy: seconds that they have.
            asked: by whoever has started it.
        """
        self._asked = self._asked or asked
        self.government.end(mercy)

    def become(self, message: Message, execute: Callable[[], object]) -> None:
        """Go on with another configuration, in this process, once no hook is running.

        Args:
            message: has the descriptor of the configuration.
            execute: executes this program again; returns if that is not possible.
        """
        government = self.government
        if government.ending:
            message.close()
            return
        try:
            new = load(read_memory_file(message.descriptors[0])).emperor
        except StartError as error:
            log.error("the Emperor goes on as it was: %s", error)  # noqa: TRY400 - one line
            message.close()
            return
        log.info("the Emperor's options have changed: it goes on with %s", ", ".join(new.places))
        if government.hooks.busy:
            government.hooks.on_idle = execute
        else:
            execute()


def _absolute(word: str) -> str:
    """Return a path that is relative to our directory in full; other words as they are."""
    return os.path.abspath(word) if os.path.sep in word and os.path.exists(word) else word


def write_lines(data: bytes) -> None:
    """Write whole lines of vassals where the log goes."""
    text = data.decode("utf-8", "backslashreplace")
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream.write(text)
            handler.flush()

"""Government of an Emperor: looks for files, keeps a vassal for each of them, and ends them all."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Final

from uwsgi_router.router.config.model import EmperorConfig, ProcessConfig
from uwsgi_router.router.emperor.accepting import AGAIN
from uwsgi_router.router.emperor.blacklist import Blacklist
from uwsgi_router.router.emperor.command import VassalLaunch, launch_of
from uwsgi_router.router.emperor.hooks.runner import HookRunner
from uwsgi_router.router.emperor.identity import tyrant_fault
from uwsgi_router.router.emperor.kinds import kind_of, program_of
from uwsgi_router.router.emperor.machine import VassalEvent
from uwsgi_router.router.emperor.monitors.monitor import Monitor
from uwsgi_router.router.emperor.monitors.notice import ChangeNotice
from uwsgi_router.router.emperor.on_demand import OnDemandSocket
from uwsgi_router.router.emperor.socket_search import SocketFinder, SocketSearch
from uwsgi_router.router.emperor.vassal import Vassal
from uwsgi_router.router.emperor.vassal_file import VassalFile, VassalRefused
from uwsgi_router.router.supervision.loop import SelectorLoop, Timer
from uwsgi_router.router.supervision.sessions import end_sessions

log = logging.getLogger("uwsgi-router.emperor")

#: Seconds between a notice of a change and the look at what has changed: writers are given time to finish.
SETTLE: Final = 0.1
#: Program that vassals are made for; where there is a wrapper, it need not be there.
UWSGI: Final = "uwsgi"
#: Seconds that vassals have to end when nobody says another number.
MERCY: Final = 30.0


def wall_clock() -> float:
    """Return the seconds of the epoch, which mtimes of files and statistics are in."""
    return time.clock_gettime(time.CLOCK_REALTIME)


class Government:
    """Government of an Emperor.

    Args:
        loop: waits.
        config: of the Emperor.
        process: of the program: options of sockets.
        monitors: of its places.
        program: this program, as it was started, without arguments.
        environ: that vassals get, but for what is about the Emperor.
        write: takes whole lines of vassals, for the log.
        wall: the wall clock.
        open_files: soft limit of descriptors that vassals have; None: the Emperor's.

    Attributes:
        loop: see above.
        config: see above.
        monitors: see above.
        environ: see above.
        blacklist: vassals that fail.
        vassals: by their names.
        ending: all vassals are to end.
        on_over: called once all of them have.
        on_scanned: called whenever all files have been looked at.
        on_session: called with the process id of each new vassal, and True; with False once nothing is left of it.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        config: EmperorConfig,
        process: ProcessConfig,
        monitors: Sequence[Monitor],
        *,
        program: Sequence[str],
        environ: Mapping[str, str],
        write: Callable[[bytes], object],
        wall: Callable[[], float] = wall_clock,
        open_files: int | None = None,
    ) -> None:
        self.loop = loop
        self.config = config
        self._finder = SocketFinder(loop, config, process)
        self.monitors = monitors
        self._program = program
        self.environ = environ
        self._write = write
        self._wall = wall
        self._open_files = open_files
        self.blacklist = Blacklist(
            config.throttle, config.max_throttle, enabled=not config.no_blacklist
        )
        self.hooks = HookRunner(loop, config, environ, self._note_session)
        self.vassals: dict[str, Vassal] = {}
        self.ending = False
        self.on_over: Callable[[], object] = lambda: None
        self.on_scanned: Callable[[], object] = lambda: None
        self.on_session: Callable[[int, bool], object] = lambda _pid, _begun: None
        self._dead: list[Vassal] = []
        self._searches: dict[str, SocketSearch | None] = {}
        self._faults: dict[str, str] = {}
        self._notice = ChangeNotice(one for monitor in monitors for one in monitor.watched())
        self._scan_timer: Timer | None = None
        self._deadline = 0.0

    # --- what vassals need ---

    def wall(self) -> float:
        """Return the wall clock, in seconds of the epoch."""
        return self._wall()

    def launch(self, file: VassalFile) -> VassalLaunch:
        """Return how the process of a vassal is started.

        Raises:
            VassalRefused: it can't be.
        """
        fault = tyrant_fault(file) if self.config.tyrant else None
        if fault is not None:
            raise VassalRefused(fault)
        try:
            kind = kind_of(file, self.config, self.environ)
        except VassalRefused:
            raise
        except Exception as exc:
            # Others write these files: none of them may end the Emperor, and with it all vassals.
            log.exception("a bug while reading %s", file.path)
            raise VassalRefused(f"it can't be read: {exc!r}") from exc
        try:
            program: Sequence[str]
            program = program_of(kind, self.config, self._program, self.environ)
        except VassalRefused:
            if self.config.wrapper is None:
                raise
            program = [UWSGI]
        return launch_of(file, self.config, self.environ, program, open_files=self._open_files)

    def write(self, data: bytes) -> None:
        """Write whole lines to the log."""
        self._write(data)

    def started(self, vassal: Vassal) -> None:
        """Take that a vassal has a process."""
        self.on_session(vassal.pid, True)
        self.hooks.spawned(vassal.file, vassal.pid)

    def dead(self, vassal: Vassal) -> None:
        """Take that a vassal's process has ended; those that end together cost one look at all processes."""
        if not self._dead:
            self.loop.call_later(0, self._bury)
        self._dead.append(vassal)

    def _bury(self) -> None:
        dead, self._dead = self._dead, []
        # As long as nobody has waited for the leaders, their numbers are nobody else's.
        leaders = {vassal.pid for vassal in dead}
        try:
            end_sessions(leaders, spared=leaders)
        except OSError as exc:
            # To look at all processes takes a descriptor.
            log.error("what %s left can't be ended yet: %s", _count(dead), exc.strerror)  # noqa: TRY400
            self.loop.call_later(AGAIN, self._bury)
            self._dead = dead + self._dead
            return
        for vassal in dead:
            vassal.bury()

    def buried(self, vassal: Vassal, pid: int) -> None:
        """Take that nothing is left of a vassal's process."""
        self.on_session(pid, False)
        self.hooks.stopped(vassal.file)

    def forget(self, vassal: Vassal) -> None:
        """Take that a vassal is gone for good."""
        del self.vassals[vassal.name]
        log.info("%s: removed", vassal.name)
        if self.ending:
            self._look_for_end()
        else:
            self._scan_soon(0)

    def _note_session(self, pid: int, begun: bool) -> None:
        self.on_session(pid, begun)

    # --- files ---

    def start(self) -> None:
        """Begin to govern."""
        if self._notice.fileno() >= 0:
            self.loop.add_reader(self._notice.fileno(), self._noticed)
        self.scan()

    def _noticed(self) -> None:
        self._notice.clear()
        self._scan_soon(SETTLE)

    def _scan_soon(self, seconds: float) -> None:
        """Look at the files after so many seconds, or before."""
        if self.ending:
            return
        when = self.loop.time() + seconds
        if self._scan_timer is not None and not self._scan_timer.cancelled:
            if self._scan_timer.when <= when:
                return
            self._scan_timer.cancel()
        self._scan_timer = self.loop.call_later(seconds, self.scan)

    def scan(self) -> None:
        """Look at all files."""
        if self.ending:
            return
        if self._scan_timer is not None:
            self._scan_timer.cancel()
        found, blind = self._look()
        gone = [
            vassal
            for name, vassal in self.vassals.items()
            if name not in found and vassal.file.monitor not in blind
        ]
        for vassal in gone:
            vassal.tell(VassalEvent.REMOVED)
        for name, search in list(self._searches.items()):
            if name not in found:
                del self._searches[name]
                if search is not None:
                    search.cancel()
        for name, file in found.items():
            if name in self.vassals:
                self.vassals[name].seen(file)
            elif name not in self._searches:
                self._search(file)
        self.on_scanned()
        self._scan_soon(self.config.frequency)

    def _look(self) -> tuple[dict[str, VassalFile], set[str]]:
        """Return all files by name, and the places that could not be looked at."""
        found: dict[str, VassalFile] = {}
        blind: set[str] = set()
        for monitor in self.monitors:
            files = monitor.scan()
            if files is None:
                blind.add(monitor.shown)
                continue
            for file in files:
                other = found.setdefault(file.name, file)
                if other.path != file.path:
                    self._complain(
                        file.path,
                        f"{file.path} is not run: there is a vassal {file.name} already, {other.path}",
                    )
        return found, blind

    def _complain(self, about: str, text: str) -> None:
        """Log what is wrong, once."""
        if self._faults.get(about) != text:
            self._faults[about] = text
            log.error("%s", text)

    def _search(self, file: VassalFile) -> None:
        """Find out how a new vassal starts, and take it in."""

        def done(sock: OnDemandSocket | None, fault: str) -> None:
            self._searches.pop(file.name, None)
            if fault:
                self._complain(file.name, f"{file.name}: not started: {fault}")
            else:
                self._faults.pop(file.name, None)
                self.add(Vassal(file, self, sock))

        self._searches[file.name] = None
        search = self._finder.find(file, done)
        if file.name in self._searches and search is not None:
            self._searches[file.name] = search

    def add(self, vassal: Vassal) -> None:
        """Take a vassal in, and let its life begin."""
        self.vassals[vassal.name] = vassal
        vassal.start()

    # --- orders ---

    def reload_all(self, why: str) -> None:
        """Reload every vassal."""
        log.info("%s: every vassal reloads", why)
        wall = self.wall()
        for vassal in list(self.vassals.values()):
            vassal.chronicle.modified = max(vassal.chronicle.modified, wall)
            vassal.tell(VassalEvent.RELOAD)

    def forgive_all(self, why: str) -> None:
        """Start vassals that are delayed at once, and count their failures from the beginning."""
        log.info("%s: cleaning up the blacklist", why)
        self.blacklist.clear()
        for vassal in list(self.vassals.values()):
            vassal.tell(VassalEvent.RESET)

    def tell_status(self, why: str) -> None:
        """Log a line for each vassal."""
        for vassal in self.vassals.values():
            log.info(
                "%s: vassal %s: %s, pid %d, last modified %d, loyal %d",
                *(why, vassal.name, vassal.machine.state.value, vassal.pid),
                *(vassal.chronicle.modified, vassal.machine.loyal),
            )

    # --- Ragnarok ---

    def end(self, mercy: float = MERCY) -> None:
        """End all vassals, and then tell so.

        Args:
            mercy: seconds that they have; later they are killed.
        """
        now = self.loop.time()
        if self.ending:
            self._deadline = min(self._deadline, now + mercy)
            left = self._deadline - now
            log.info("%s left, %.0f s to go", _count(self.vassals), left)
        else:
            self._deadline = now + mercy
            log.info("Ragnarok: the end of %s within %g s", _count(self.vassals), mercy)
        self.ending = True
        for search in self._searches.values():
            if search is not None:
                search.cancel()
        self._searches.clear()
        if self._scan_timer is not None:
            self._scan_timer.cancel()
        for vassal in list(self.vassals.values()):
            vassal.tell(VassalEvent.SHUTDOWN, mercy=mercy)
        if not self.vassals:
            self._look_for_end()

    def kill(self) -> None:
        """Kill all vassals that are left, with their sessions."""
        leaders = {vassal.pid for vassal in self.vassals.values() if vassal.pid > 1}
        end_sessions(leaders)

    def _look_for_end(self) -> None:
        """Tell that everything is over, once hooks have ended too."""
        if self.vassals:
            return
        if self.hooks.busy:
            self.hooks.on_idle = self._look_for_end
            self.loop.call_later(max(0.0, self._deadline - self.loop.time()), self._over)
        else:
            self._over()

    def _over(self) -> None:
        over, self.on_over = self.on_over, lambda: None
        over()

    def close(self) -> None:
        """Let go of everything."""
        if self._notice.fileno() >= 0:
            self.loop.remove_reader(self._notice.fileno())
        self._notice.close()
        self.hooks.close()


def _count(vassals: Sized) -> str:
    return "1 vassal" if len(vassals) == 1 else f"{len(vassals)} vassals"

"""Supervision of applications and of the router before them, from their configuration to the exit code."""

import logging
import os
import stat
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from uwsgi_router.router.app.applications import arguments
from uwsgi_router.router.app.applications.jails import JailRouters
from uwsgi_router.router.app.applications.plans import plan_of
from uwsgi_router.router.app.applications.sections import SectionRollout
from uwsgi_router.router.app.applications.served import CopiesFront, ServedApplications, VassalPlace
from uwsgi_router.router.app.applications.vassal import EmperorLink
from uwsgi_router.router.app.process.pidfile import PidFile
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.core.log import setup
from uwsgi_router.router.net.activation import SystemdNotifier
from uwsgi_router.subscriptions.application import runtime
from uwsgi_router.subscriptions.application.control_server import ApplicationControl
from uwsgi_router.subscriptions.application.private import PrivateDirectory
from uwsgi_router.subscriptions.application.router_process import RouterProcess
from uwsgi_router.subscriptions.application.running_copy import RouterSockets, ShellParts
from uwsgi_router.subscriptions.application.shell import ApplicationShell
from uwsgi_router.subscriptions.application.supervisor import RolloutRefused, Supervision
from uwsgi_router.subscriptions.application.watch import SourceWatch
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.output import LineOutput

log = logging.getLogger("uwsgi-router.serve")

#: Reads the files again; raises RolloutRefused.
Reader = Callable[[], ServedApplications]
_NO_PLACE: Final = VassalPlace()


def supervise(
    served: ServedApplications,
    environ: Mapping[str, str],
    read: Reader | None = None,
    place: VassalPlace = _NO_PLACE,
) -> int:
    """Serve until a signal, or the Emperor, ends it; return the exit code.

    Args:
        served: the applications.
        environ: of the copies.
        read: reads the files again at each rollout; None: there are none.
        place: below an Emperor.

    Raises:
        StartError: it can't start.
    """
    setup(served.process)
    served.check_reach(place)
    # Routers that run as another user connect to sockets of copies.
    shared = served.has_users or served.front(place) is CopiesFront.EMPERORS
    try:
        private = PrivateDirectory.make(environ, shared=shared)
    except OSError as exc:
        where = f" {exc.filename}" if exc.filename else ""
        text = (
            f"there is no directory for sockets: {exc.strerror or exc}{where}: name one with TMPDIR"
        )
        raise StartError(text) from exc
    pidfile: PidFile | None = None
    try:
        if served.pidfile is not None:
            pidfile = PidFile(served.pidfile)
        return _Supervisor(served, environ, private, place).run(read)
    finally:
        private.close()
        if pidfile is not None:
            pidfile.remove()


class _Supervisor:
    """Supervisor: its loop, the router before the copies, and the parts that it is told by."""

    def __init__(
        self,
        served: ServedApplications,
        environ: Mapping[str, str],
        private: PrivateDirectory,
        place: VassalPlace,
    ) -> None:
        self._served = served
        self._environ = environ
        self._private = private
        self._directory = directory = private.path
        self._place = place
        self._front = served.front(place)
        self._sockets = self._sockets_of_router()
        self._notifier = SystemdNotifier(environ.get("NOTIFY_SOCKET"))
        self._emperor: EmperorLink | None = None
        self._watch: SourceWatch | None = None
        self._jails: JailRouters | None = None
        self._rollout: SectionRollout | None = None
        self._copies = os.path.join(directory, "copies")
        os.mkdir(self._copies, 0o711 if self._front is CopiesFront.EMPERORS else 0o700)
        self._share(served)
        self._supervision = Supervision(
            self._router() if self._front is CopiesFront.OWN else None,
            self._sockets,
            stop_timeout=served.stop_timeout,
            tell=self._tell,
        )

    def run(self, read: Reader | None) -> int:
        """Serve; return the exit code."""
        served, supervision = self._served, self._supervision
        parts = ShellParts(
            router=self._sockets,
            questions=supervision.questions,
            watch=supervision.watch,
            unwatch=supervision.unwatch,
            stdout=_output(1),
            stderr=_output(2),
            environ=self._environ,
            directory=self._copies,
            rollout_ended=supervision.rollout_ended,
            router_runs=self._router_runs,
        )
        for config in served.applications:
            plan = plan_of(config, self._environ, alone=served.alone)
            supervision.add(ApplicationShell(plan, parts))
        if read is not None:
            supervision.starter = self._rollout = SectionRollout(
                read, served, supervision, parts, self._directory, self._accept
            )
        self._add_parts()
        self._say_front()
        return supervision.run()

    # --- the router ---

    def _sockets_of_router(self) -> RouterSockets | None:
        if self._front is CopiesFront.OWN:
            return arguments.sockets_of(self._directory)
        found = self._place.sockets
        return None if found is None else RouterSockets(found.announce, found.control)

    def _router(self) -> RouterProcess:
        served, directory = self._served, self._directory
        arguments.write_file(
            directory,
            served.applications,
            served.kinds,
            listen=served.listen,
            stop_timeout=None if served.from_files else served.stop_timeout,
        )
        return RouterProcess(
            arguments.command(served.router, directory),
            arguments.environment(self._environ, own=served.from_files),
            directory,
            self._router_is_ready,
            inherits=() if self._private.lock < 0 else (self._private.lock,),
        )

    def _router_is_ready(self) -> None:
        for shell in self._supervision.applications.values():
            shell.router_is_new()
        if self._rollout is not None:
            self._rollout.router_is_ready()

    def _router_runs(self) -> bool:
        # When all stop, the router has gone before.
        return self._supervision.router is None or not self._supervision.stopping

    def _say_front(self) -> None:
        """Say what a vassal may be surprised by."""
        if self._front is CopiesFront.NOBODY:
            log.warning(
                "the Emperor's instance has no router, and this file has none: nobody is told of the copies"
            )
        elif self._front is CopiesFront.EMPERORS:
            for config in self._served.applications:
                if not config.hosts:
                    text = "[app %s] has no host: the routers of the Emperor's instance send it requests for %s only"
                    log.warning(text, config.name, config.name)

    # --- parts ---

    def _add_parts(self) -> None:
        served, supervision = self._served, self._supervision
        if served.jails is not None and self._front is not CopiesFront.OWN:
            self._jails = JailRouters(
                served.router,
                self._environ,
                self._directory,
                control_socket=served.control_socket,
                pidfile=served.pidfile,
            )
            supervision.part(self._jails)
        path = served.control_socket or runtime.new_control_path(self._environ, os.getpid())
        if path is None:
            log.warning("there is no control socket: `uwsgi-router rollout` needs --control-socket")
        else:
            router = None if self._sockets is None else self._sockets.control
            try:
                supervision.part(ApplicationControl(path, router))
            except OSError as exc:
                raise StartError(f"control-socket = {path}: {exc.strerror or exc}") from exc
        try:
            self._watch_sources(served)
        except SubscribeError as exc:
            raise StartError(str(exc)) from exc
        if self._place.emperor >= 0:
            self._emperor = EmperorLink(
                self._place.emperor,
                served.process.heartbeat,
                counted=self._sockets is not None and self._sockets.control is not None,
                idle=served.process.idle if served.process.die_on_idle and _has_a_socket() else 0.0,
            )
            supervision.part(self._emperor)

    def _watch_sources(self, served: ServedApplications) -> None:
        """Watch the files whose changes begin a rollout.

        Raises:
            SubscribeError: they can't be watched.
        """
        watch = SourceWatch(served.watched) if served.watched else None
        if self._watch is not None:
            self._supervision.end_part(self._watch)
        self._watch = watch
        if watch is not None:
            self._supervision.part(watch)

    def _accept(self, read: ServedApplications) -> None:
        """Take over what the files say now, as far as that is possible.

        Raises:
            RolloutRefused: it is not.
        """
        if read.front(self._place) is not self._front:
            raise RolloutRefused("a file that has got a router, or lost it, needs a restart")
        try:
            read.check_reach(self._place)
        except StartError as exc:
            raise RolloutRefused(str(exc)) from exc
        before = self._served
        if self._front is not CopiesFront.OWN and (read.jails is None) != (before.jails is None):
            raise RolloutRefused(
                "a file that has got a forkpty router or a tuntap device, or lost it, needs a restart"
            )
        if read.watched != before.watched:
            try:
                self._watch_sources(read)
            except SubscribeError as exc:
                raise RolloutRefused(str(exc)) from exc
        if self._jails is not None and read.jails != before.jails:
            self._jails.reload()
        for name in ("control_socket", "pidfile"):
            if getattr(read, name) != getattr(before, name):
                log.warning("%s needs a restart", name.replace("_", "-"))
        self._share(read)
        self._supervision.stop_timeout = read.stop_timeout
        self._served = read

    def _share(self, served: ServedApplications) -> None:
        """Let copies that run as other users reach their directory."""
        if served.has_users:
            os.chmod(self._directory, 0o711)  # noqa: S103 - entered, not listed
            # Each makes its socket there; names are fresh, and nobody removes another's.
            os.chmod(self._copies, 0o1733)  # noqa: S103

    def _tell(self, state: str) -> None:
        """Tell the service manager, and the Emperor, of the supervisor's state."""
        if state == "stopping":
            self._notifier.stopping("finishing requests")
            return
        self._notifier.ready("serving")
        if self._emperor is not None:
            self._emperor.serves()


def _has_a_socket() -> bool:
    """Return True if the Emperor has given us the socket that starts us: others it would start again at once."""
    try:
        return stat.S_ISSOCK(os.fstat(0).st_mode)
    except OSError:
        return False


def _output(descriptor: int) -> "partial[int]":
    """Return a function that writes lines to one of our outputs, and drops what it does not take."""
    output = LineOutput(
        descriptor,
        lambda count, why: f"uwsgi-router: {count} lines were dropped: {why}",
        owned=False,
    )
    return partial(LineOutput.write, output)

"""Supervision of applications and of the router before them, from their configuration to the exit code."""

import logging
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from uwsgi_router.router.app.applications import arguments
from uwsgi_router.router.app.applications.plans import plan_of
from uwsgi_router.router.app.process.pidfile import PidFile
from uwsgi_router.router.config.app import AppConfig
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.core.log import setup
from uwsgi_router.router.net.activation import SystemdNotifier
from uwsgi_router.subscriptions.application import runtime
from uwsgi_router.subscriptions.application.control_server import ApplicationControl
from uwsgi_router.subscriptions.application.router_process import RouterProcess
from uwsgi_router.subscriptions.application.running_copy import ShellParts
from uwsgi_router.subscriptions.application.shell import ApplicationShell
from uwsgi_router.subscriptions.application.supervisor import Supervision
from uwsgi_router.subscriptions.application.watch import SourceWatch
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.output import LineOutput

log = logging.getLogger("uwsgi-router.serve")


@dataclass(frozen=True, slots=True)
class ServedApplications:
    """Applications, and the router before them.

    Attributes:
        applications: at least one.
        process: where the log goes.
        router: arguments for the router, the user's own.
        kinds: routers that these have.
        listen: addresses for HTTP besides.
        stop_timeout: seconds for a whole stop.
        control_socket: path; None: where the commands look.
        pidfile: path; None: there is none.
        from_files: the router is configured by files that HUP has it read again.
        alone: the program ends if its application can't be started.
    """

    applications: tuple[AppConfig, ...]
    process: ProcessConfig = field(default_factory=ProcessConfig)
    router: Sequence[str] = ()
    kinds: Sequence[str] = ()
    listen: Sequence[str] = ()
    stop_timeout: float = 25.0
    control_socket: str | None = None
    pidfile: str | None = None
    from_files: bool = False
    alone: bool = False


def supervise(served: ServedApplications, environ: Mapping[str, str]) -> int:
    """Serve until a signal ends it; return the exit code.

    Raises:
        StartError: it can't start.
    """
    setup(served.process)
    shared = any(config.uid is not None for config in served.applications)
    try:
        directory = runtime.private_directory(environ, shared=shared)
    except OSError as exc:
        text = f"there is no directory for sockets: {exc.strerror}: {exc.filename}"
        raise StartError(text) from exc
    pidfile: PidFile | None = None
    try:
        if served.pidfile is not None:
            pidfile = PidFile(served.pidfile)
        return _supervise(served, environ, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if pidfile is not None:
            pidfile.remove()


def _supervise(served: ServedApplications, environ: Mapping[str, str], directory: str) -> int:
    sockets = arguments.sockets_of(directory)
    arguments.write_file(
        directory,
        served.applications,
        served.kinds,
        listen=served.listen,
        stop_timeout=None if served.from_files else served.stop_timeout,
    )
    copies = os.path.join(directory, "copies")
    os.mkdir(copies)
    if any(config.uid is not None for config in served.applications):
        # Each makes its socket there; names are fresh, and nobody removes another's.
        os.chmod(copies, 0o1733)  # noqa: S103
    ready: list[Supervision] = []
    router = RouterProcess(
        arguments.command(served.router, directory),
        arguments.environment(environ, own=served.from_files),
        directory,
        lambda: _router_is_ready(ready[0]),
    )
    hangup = partial(router.signal, signal.SIGHUP) if served.from_files else None
    supervision = Supervision(
        router,
        sockets,
        stop_timeout=served.stop_timeout,
        on_hangup=hangup,
        tell=partial(_tell, SystemdNotifier(environ.get("NOTIFY_SOCKET"))),
    )
    ready.append(supervision)
    parts = ShellParts(
        router=sockets,
        questions=supervision.questions,
        watch=supervision.watch,
        unwatch=supervision.unwatch,
        stdout=_output(1),
        stderr=_output(2),
        environ=environ,
        directory=copies,
        rollout_ended=supervision.rollout_ended,
    )
    for config in served.applications:
        plan = plan_of(config, environ, alone=served.alone)
        supervision.add(ApplicationShell(plan, parts))
    _add_parts(supervision, served, environ, sockets.control)
    return supervision.run()


def _add_parts(
    supervision: Supervision, served: ServedApplications, environ: Mapping[str, str], router: str
) -> None:
    path = served.control_socket or runtime.new_control_path(environ, os.getpid())
    if path is None:
        log.warning("there is no control socket: `uwsgi-router rollout` needs --control-socket")
    else:
        try:
            supervision.part(ApplicationControl(path, router))
        except OSError as exc:
            raise StartError(f"control-socket = {path}: {exc.strerror or exc}") from exc
    watched = [path for config in served.applications for path in config.reload]
    if watched:
        try:
            supervision.part(SourceWatch(watched))
        except SubscribeError as exc:
            raise StartError(str(exc)) from exc


def _router_is_ready(supervision: Supervision) -> None:
    for shell in supervision.applications.values():
        shell.router_is_new()


def _tell(notifier: SystemdNotifier, state: str) -> None:
    """Tell the service manager of the supervisor's state."""
    if state == "ready":
        notifier.ready("serving")
    else:
        notifier.stopping("finishing requests")


def _output(descriptor: int) -> "partial[int]":
    """Return a function that writes lines to one of our outputs, and drops what it does not take."""
    output = LineOutput(
        descriptor,
        lambda count, why: f"uwsgi-router: {count} lines were dropped: {why}",
        owned=False,
    )
    return partial(LineOutput.write, output)

"""Run command: starts routers, drops privileges, serves until a signal."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from functools import partial

from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.app.jail import Jail
from uwsgi_router.router.app.jails import build_jails
from uwsgi_router.router.app.process import environment
from uwsgi_router.router.app.process.early_stop import TidiedUp
from uwsgi_router.router.app.process.garbage_collector import tune_gc
from uwsgi_router.router.app.process.handover import hand_over
from uwsgi_router.router.app.process.identity import identity
from uwsgi_router.router.app.process.limits import raise_descriptor_limit, warn_of_short_backlog
from uwsgi_router.router.app.process.pidfile import PidFile
from uwsgi_router.router.app.process.privileges import drop
from uwsgi_router.router.app.process.signals import Signals
from uwsgi_router.router.app.process.supervisor import ProcessSupervisor, SupervisedProgram
from uwsgi_router.router.app.process.title import set_title
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.core.log import log_file, setup
from uwsgi_router.router.net.activation import Inherited, SystemdNotifier
from uwsgi_router.version import __version__, build

log = logging.getLogger("uwsgi-router")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def run(configuration: Configuration) -> int:
    """Serve until a signal ends it; return the exit status.

    Raises:
        StartError: if it can't start, with the one line for the operator.
    """
    configuration = environment.with_state_file(configuration, os.environ)
    process = configuration.process
    environment.apply(process)
    setup(process)
    for line in configuration.warnings:
        log.warning("%s", line)
    who = identity(process, configuration.routers)
    notifier = SystemdNotifier.from_environment(os.environ)
    inherited = Inherited.from_environment(os.environ, os.getpid())
    instance = Instance(configuration, inherited, jails=build_jails(configuration))
    set_title(process.procname, process.procname_prefix)
    raise_descriptor_limit()
    warn_of_short_backlog(process.listen)
    # Before privileges are dropped: the new user may not be able to read where Python is installed.
    factory = loop_factory(process.event_loop)
    pidfiles: list[PidFile] = []
    supervisor = _supervisor(instance, factory)
    with TidiedUp():
        try:
            instance.bind()
            environment.restrict_new_files(process)
            if process.pidfile is not None:
                pidfiles.append(PidFile(process.pidfile))
            hand_over(who, instance.access_logs, configuration.subscription.state)
            drop(who)
            if process.safe_pidfile is not None:
                pidfiles.append(PidFile(process.safe_pidfile))
            if supervisor is not None:
                supervisor.start()
                instance.leave_jails()
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(_serve(instance, notifier, process.reload_mercy, supervisor))
        finally:
            if supervisor is not None:
                supervisor.stop()
            instance.close_sockets()
            for pidfile in pidfiles:
                pidfile.remove()
    return 0


def loop_factory(wanted: str) -> LoopFactory | None:
    """Return what makes the event loop: uvloop's if wanted or, by default, if it is there.

    Raises:
        StartError: if uvloop is asked for and missing.
    """
    if wanted == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415
    except ImportError as exc:
        if wanted == "uvloop":
            raise StartError("event-loop=uvloop: uvloop is not installed") from exc
        log.warning(
            "uvloop is not installed: asyncio's own loop needs about half as much CPU again"
        )
        return None
    return uvloop.new_event_loop


def _supervisor(instance: Instance, factory: LoopFactory | None) -> ProcessSupervisor | None:
    """Return what runs each router for jails in a process of its own, until a master process does."""
    programs = [
        SupervisedProgram(
            f"the {jail.name} router",
            f"router-{jail.name}",
            partial(_run_jail, instance, jail, factory),
        )
        for jail in instance.jails
    ]
    return ProcessSupervisor(programs, instance.leave) if programs else None


def _run_jail(instance: Instance, jail: Jail, factory: LoopFactory | None, lifeline: int) -> None:
    """Serve a router for jails until the lifeline ends, or a signal comes."""
    for other in instance.jails:
        if other is jail:
            jail.take()
        else:
            other.leave()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve_jail(jail, lifeline))


async def _serve_jail(jail: Jail, lifeline: int) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        loop.add_signal_handler(number, over.set)
    loop.add_reader(lifeline, over.set)
    await jail.start()
    await over.wait()
    loop.remove_reader(lifeline)
    await jail.stop()


async def _started(
    instance: Instance, loop: asyncio.AbstractEventLoop, stop: asyncio.Event
) -> bool:
    """Start; return False if a signal came before it was done, which may wait for names.

    Raises:
        StartError: it can't start.
    """
    starting, stopping = loop.create_task(instance.start()), loop.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        stopping.cancel()
        await starting
        return True
    starting.cancel()
    await asyncio.wait((starting,))
    return False


async def _serve(
    instance: Instance,
    notifier: SystemdNotifier,
    mercy: float,
    supervisor: ProcessSupervisor | None,
) -> None:
    loop = asyncio.get_running_loop()
    graceful, at_once = asyncio.Event(), asyncio.Event()

    def stop_now() -> None:
        graceful.set()
        at_once.set()

    signals = Signals(
        loop, graceful=graceful.set, immediate=stop_now, reopen=lambda: _reopen_logs(instance)
    )
    signals.install()
    if supervisor is not None:
        supervisor.watch(loop, graceful.set)
    if not await _started(instance, loop, graceful):
        await instance.stop(0)
        signals.remove()
        return
    tune_gc()
    for kind, line in instance.summaries():
        logging.getLogger(f"uwsgi-router.{kind}").info("%s", line)
    log.info(
        "uwsgi-router %s (%s) is ready, pid %d, %s",
        __version__,
        build(),
        os.getpid(),
        type(loop).__module__,
    )
    notifier.ready("serving")
    await graceful.wait()
    notifier.stopping("finishing requests")
    if not at_once.is_set():
        stopping = loop.create_task(instance.stop(mercy))
        forced = loop.create_task(at_once.wait())
        await asyncio.wait((stopping, forced), return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        if stopping.done():
            await stopping
            signals.remove()
            return
        stopping.cancel()
        await asyncio.wait((stopping,))
    await instance.stop(0)
    signals.remove()


def _reopen_logs(instance: Instance) -> None:
    """Open log files by their names again: they have been renamed."""
    file = log_file()
    if file is not None:
        file.reopen()
    for access_log in instance.access_logs:
        access_log.reopen()

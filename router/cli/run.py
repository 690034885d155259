"""Run command: starts the master, or serves everything in this process until a signal."""

import asyncio
import logging
import os
from collections.abc import Sequence

from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.app.jail import Jail
from uwsgi_router.router.app.jails import build_jails
from uwsgi_router.router.app.process import environment
from uwsgi_router.router.app.process.early_stop import TidiedUp
from uwsgi_router.router.app.process.event_loops import loop_factory
from uwsgi_router.router.app.process.handover import hand_over
from uwsgi_router.router.app.process.identity import identity
from uwsgi_router.router.app.process.limits import raise_descriptor_limit, warn_of_short_backlog
from uwsgi_router.router.app.process.pidfile import PidFile
from uwsgi_router.router.app.process.privileges import drop
from uwsgi_router.router.app.process.signals import Signals
from uwsgi_router.router.app.process.title import set_title
from uwsgi_router.router.app.serving import Orders, log_summaries, reopen_logs, serve
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.core.log import setup
from uwsgi_router.router.net.activation import Inherited, SystemdNotifier
from uwsgi_router.version import __version__, build

log = logging.getLogger("uwsgi-router")


def run(configuration: Configuration) -> int:
    """Serve everything in this process, until a signal ends it; return the exit status.

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
    jails = build_jails(configuration)
    instance = Instance(configuration, inherited, jails=jails)
    set_title(process.procname, process.procname_prefix)
    raise_descriptor_limit()
    warn_of_short_backlog(process.listen)
    # Before privileges are dropped: the new user may not be able to read where Python is installed.
    factory = loop_factory(process.event_loop)
    pidfiles: list[PidFile] = []
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
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(_serve(instance, jails, notifier, process.reload_mercy))
        finally:
            instance.close_sockets()
            for pidfile in pidfiles:
                pidfile.remove()
    return 0


async def _serve(
    instance: Instance, jails: Sequence[Jail], notifier: SystemdNotifier, mercy: float
) -> None:
    loop = asyncio.get_running_loop()
    orders = Orders(mercy)

    def stop() -> None:
        notifier.stopping("finishing requests")
        orders.stop.set()

    def ready() -> None:
        log_summaries(instance)
        log.info(
            "uwsgi-router %s (%s) is ready, pid %d, %s",
            *(__version__, build(), os.getpid(), type(loop).__module__),
        )
        notifier.ready("serving")

    signals = Signals(
        loop, graceful=stop, immediate=orders.stop_now, reopen=lambda: reopen_logs(instance)
    )
    signals.install()
    for jail in jails:
        await jail.start()
    await serve(instance, orders, ready)
    for jail in jails:
        await jail.stop()
    signals.remove()

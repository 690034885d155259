"""Process of a router for jails: serves on sockets that the master has opened."""

import asyncio
import signal
import sys

from uwsgi_router.router.app.child import MasterLink
from uwsgi_router.router.app.jail import Jail
from uwsgi_router.router.app.jails import build_jails
from uwsgi_router.router.app.master.assignment import Assignment
from uwsgi_router.router.app.master.beats import Beat
from uwsgi_router.router.app.process.event_loops import loop_factory
from uwsgi_router.router.app.serving import Orders
from uwsgi_router.router.app.worker import become, enter, ignore_keyboard
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.core.log import log_file
from uwsgi_router.router.net.listeners import bind_shared
from uwsgi_router.router.supervision.channel import Message


def guard(assignment: Assignment) -> int:
    """Serve a router for jails until the master says otherwise; return the exit status."""
    link = MasterLink(assignment)
    ignore_keyboard()
    try:
        _guard(link)
    except StartError as error:
        if not link.send(failed=str(error)):
            sys.stderr.write(f"uwsgi-router: {error}\n")
        return 1
    return 0


def _guard(link: MasterLink) -> None:
    configuration = link.configuration
    jail = build_jails(configuration)[link.assignment.number]
    enter(configuration, f"router-{jail.name}")
    factory = loop_factory(configuration.process.event_loop)
    shared = bind_shared(configuration.process, link.inherited)
    try:
        jail.bind(link.inherited, shared)
        become(configuration, (), None)
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(_serve(link, jail))
    finally:
        jail.close_sockets()


async def _serve(link: MasterLink, jail: Jail) -> None:
    loop = asyncio.get_running_loop()
    orders = Orders(0.0)

    def told(message: Message) -> None:
        match message.members.get("do"):
            case "stop" | "stop-now" | "drain":
                orders.stop.set()
            case "reopen":
                file = log_file()
                if file is not None:
                    file.reopen()
        message.close()

    link.listen(loop, told, orders.stop.set)
    loop.add_signal_handler(signal.SIGTERM, orders.stop.set)
    link.beat(loop, Beat)
    await jail.start()
    link.send(ready=True, loop=type(loop).__module__)
    await orders.stop.wait()
    await jail.stop()
    link.close(loop)

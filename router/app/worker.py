"""Worker process: serves requests on sockets that the master has opened."""

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterable

from uwsgi_router.router.app.child import BEAT, MasterLink
from uwsgi_router.router.app.feeding.feeding import Role, Seat
from uwsgi_router.router.app.feeding.orders import FeedOrders
from uwsgi_router.router.app.feeding.post import FeedPost
from uwsgi_router.router.app.feeding.roles import worker_configuration
from uwsgi_router.router.app.instance import HandOn, Instance
from uwsgi_router.router.app.master.assignment import Assignment
from uwsgi_router.router.app.master.beats import Beat
from uwsgi_router.router.app.process import environment
from uwsgi_router.router.app.process.event_loops import loop_factory
from uwsgi_router.router.app.process.handover import hand_over
from uwsgi_router.router.app.process.identity import identity
from uwsgi_router.router.app.process.privileges import drop
from uwsgi_router.router.app.process.title import set_title
from uwsgi_router.router.app.serving import Orders, log_summaries, reopen_logs, serve
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.core.log import log_file, setup
from uwsgi_router.router.net.activation import adopt
from uwsgi_router.router.report.access_log import AccessLog
from uwsgi_router.router.supervision.channel import Message

log = logging.getLogger("uwsgi-router.worker")


def work(assignment: Assignment) -> int:
    """Be a worker until the master says otherwise; return the exit status."""
    link = MasterLink(assignment)
    ignore_keyboard()
    configuration, role = link.configuration, Role.WHOLE
    if assignment.slots > 1:
        configuration, role = worker_configuration(configuration, assignment.number), Role.WORKER
    try:
        run(link, configuration, role, f"router-worker-{assignment.number + 1}")
    except StartError as error:
        if not link.send(failed=str(error)):
            sys.stderr.write(f"uwsgi-router: {error}\n")
        return 1
    return 0


def ignore_keyboard() -> None:
    """Leave Ctrl-C, which every process of the terminal gets, to the master."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def enter(configuration: Configuration, title: str) -> None:
    """Take over what a configuration says of the process, as far as it is a child's.

    Raises:
        StartError: if that is not possible.
    """
    process = configuration.process
    environment.apply(process)
    setup(process)
    set_title(process.procname or title, process.procname_prefix)
    write_stacks()


def write_stacks() -> None:
    """Have the stacks of all threads written to the log if the process is aborted, or crashes."""
    file = log_file()
    if file is None or file.stream is None:
        faulthandler.enable()
    else:
        faulthandler.enable(file.stream.fileno())


def become(
    configuration: Configuration,
    access_logs: Iterable[AccessLog],
    state: str | None,
    *,
    quiet: bool = False,
) -> None:
    """Drop privileges: everything that needs them is open.

    Args:
        configuration: of this process.
        access_logs: are given to the user that it becomes.
        state: likewise the state file.
        quiet: as for :func:`drop`.

    Raises:
        StartError: if that is not possible.
    """
    environment.restrict_new_files(configuration.process)
    who = identity(configuration.process, configuration.routers)
    hand_over(who, access_logs, state)
    drop(who, quiet=quiet)


def run(link: MasterLink, configuration: Configuration, role: Role, title: str) -> None:
    """Run an instance until the master says otherwise.

    Args:
        link: to the master.
        configuration: of this process.
        role: of this process.
        title: for ``ps``.

    Raises:
        StartError: it can't start.
    """
    configuration = environment.with_state_file(configuration, os.environ)
    enter(configuration, title)
    assignment = link.assignment
    seat = Seat(role, assignment.number, assignment.takes_over)
    instance = Instance(configuration, link.inherited, seat=seat)
    factory = loop_factory(configuration.process.event_loop)
    try:
        instance.bind()
        # One process of a generation says what it is.
        quiet = role is Role.WORKER
        state = configuration.subscription.state
        # Of the whole: a router that is not served here may say who all are.
        become(link.configuration, instance.access_logs, state, quiet=quiet)
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(_serve(link, instance, configuration.process.reload_mercy))
    finally:
        instance.close_sockets()


async def _serve(link: MasterLink, instance: Instance, mercy: float) -> None:
    loop = asyncio.get_running_loop()
    orders = Orders(mercy, left=lambda: link.send(left=True))
    post = instance.feeding.post = FeedPost(lambda: link.send(built=True))
    feeds = FeedOrders(instance.feeding, post, loop)

    def told(message: Message) -> None:
        if not feeds.obey(message):
            obey(message, instance, orders)

    def gone() -> None:
        if not orders.stop.is_set():
            log.error("the master is gone: finishing the requests under way")
        orders.stop.set()

    def ready() -> None:
        if instance.feeding.seat.role is not Role.WORKER:
            # One process for all: the one that has the subscription servers and the statistics, too.
            log_summaries(instance)
        link.send(ready=True, loop=type(loop).__module__)

    def reload(who: str, sock: socket.socket | None) -> bool:
        return link.send(*([] if sock is None else [sock.fileno()]), reload=who)

    instance.reload = reload
    link.listen(loop, told, gone)
    loop.add_signal_handler(signal.SIGTERM, orders.stop.set)
    harakiri = link.configuration.harakiri
    link.beat(loop, lambda: beat_of(instance), harakiri / 4 if harakiri else BEAT)
    await serve(instance, orders, ready)
    post.close()
    link.close(loop)


def obey(message: Message, instance: Instance, orders: Orders) -> None:
    """Do what the master says."""
    members = message.members
    match members.get("do"):
        case "stop":
            orders.mercy = members["mercy"]
            orders.stop.set()
        case "drain":
            leaving = frozenset((kind, text) for kind, text in members["leaving"])
            times = members["grace"], members["mercy"], members["streams"]
            orders.hand_on = HandOn(leaving, *times, orders.left)
            orders.stop.set()
        case "stop-now":
            orders.stop_now()
        case "reopen":
            reopen_logs(instance)
            write_stacks()
        case "replace":
            (descriptor,) = message.descriptors
            key = members["kind"], members["text"], members["place"]
            instance.replace(*key, adopt(descriptor))
            return
        case "lend":
            (descriptor,) = message.descriptors
            instance.borrow(members["slot"], members["text"], adopt(descriptor))
            return
        case "give-back":
            instance.give_back(members["slot"])
    message.close()


def beat_of(instance: Instance) -> Beat:
    """Return the numbers of an instance."""
    gateways = instance.gateways
    return Beat(
        0.0,
        sum(gateway.active_sessions for gateway in gateways),
        sum(gateway.running for gateway in gateways),
        sum(gateway.counters.requests for gateway in gateways),
    )

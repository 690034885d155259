"""Supervisor of one program: start, readiness, announce, withdrawal, drain, stop."""

import asyncio
import logging
import signal
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from uwsgi_router.subscriptions.client.address import is_auto
from uwsgi_router.subscriptions.client.announcement import Announcement
from uwsgi_router.subscriptions.client.announcer import Announcer
from uwsgi_router.subscriptions.client.background import keep_announcing
from uwsgi_router.subscriptions.client.drain import Drain
from uwsgi_router.subscriptions.client.environment import environment, fill_in
from uwsgi_router.subscriptions.client.process import Program, ProgramSignals
from uwsgi_router.subscriptions.client.readiness import Check
from uwsgi_router.subscriptions.client.schedule import INTERVAL, Schedule
from uwsgi_router.subscriptions.client.subscriber import notify_socket
from uwsgi_router.subscriptions.client.threads import in_thread
from uwsgi_router.subscriptions.client.until_ready import ReadyTiming, until_ready

log = logging.getLogger("subscriptions.client")

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
# How often a server's name is looked up that the program's own address depends on.
_RETRY_EVERY: Final = 1.0
# A datagram can get lost: the withdrawal is repeated after so many seconds.
_AGAIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class SubscribePlan:
    """Parameters of a supervised program, as the command line gives them.

    Attributes:
        announcements: at least one.
        program: its name and arguments, with placeholders.
        check: when it counts as ready.
        drain: what is waited for between unsubscribe and SIGTERM.
        interval: seconds between announces.
        notify: where routers may answer; None: somewhere, if they are on this machine.
    """

    announcements: tuple[Announcement, ...]
    program: tuple[str, ...]
    check: Check = field(default_factory=Check)
    drain: Drain = field(default_factory=Drain)
    interval: float = INTERVAL
    notify: str | None = None


class Supervisor:
    """Supervisor: runs a plan.

    Args:
        plan: what to do.
        environ: the program's environment before anything is added.
    """

    def __init__(self, plan: SubscribePlan, environ: Mapping[str, str]) -> None:
        self._plan = plan
        self._environ = environ
        self._program: Program | None = None
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopped_by = 0
        self._passed_on = False

    async def run(self) -> int:
        """Run the program until it ends, and return the exit code.

        Raises:
            SubscribeError: if an address can't be reached, nothing can be signed, or there is no socket for answers.
            CannotStart: if the program doesn't run.
        """
        plan = self._plan
        announcer = Announcer(
            plan.announcements, notify=notify_socket(plan.announcements, plan.notify)
        )
        try:
            with ProgramSignals(self._on_signal, self._reap):
                await _first(self._prepare(announcer), self._stopping.wait())
                if self._stopping.is_set():
                    return 128 + self._stopped_by
                return await self._serve(announcer)
        finally:
            announcer.close()

    async def _prepare(self, announcer: Announcer) -> None:
        """Look up servers; the address ``auto`` can't be known before, and the program is to be told it."""
        while not await in_thread(announcer.resolve):
            if announcer.found or not all(is_auto(a.address) for a in announcer.announcements):
                break
            await asyncio.sleep(_RETRY_EVERY)
        announcer.settle()

    async def _serve(self, announcer: Announcer) -> int:
        first = _settled(announcer.announcements)[0]
        program = self._program = Program(
            fill_in(self._plan.program, first.address),
            environment(self._environ, first.address, first.proto),
        )
        log.info("started %s, pid %d", program.name, program.pid)
        try:
            await _first(program.ended, self._announce(announcer), self._stopping.wait())
            if not program.ended.done():
                await self._withdraw(announcer, program)
            elif announcer.leave():
                log.warning("%s ended by itself: unsubscribed", program.name)
        finally:
            if not program.ended.done():
                log.info("passing SIGTERM on to %s, pid %d", program.name, program.pid)
                program.signal(signal.SIGTERM)
            self._passed_on = True
        code = await program.ended
        log.info("%s ended with code %d", program.name, code)
        return code

    async def _announce(self, announcer: Announcer) -> None:
        await self._ready(announcer.announcements)
        well = announcer.announce()
        for a in announcer.announcements:
            log.info(
                "announcing %s => %s (%s, weight %d) to %s",
                a.key or f"the keys in {a.key_file}",
                a.address,
                a.proto,
                a.weight,
                a.server,
            )
        await keep_announcing(announcer, Schedule(self._plan.interval), well=well)

    async def _ready(self, announcements: Sequence[Announcement]) -> None:
        for address, proto in dict.fromkeys((a.address, a.proto) for a in _settled(announcements)):
            await until_ready(self._plan.check, address, proto, ReadyTiming())

    async def _withdraw(self, announcer: Announcer, program: Program) -> None:
        """Unsubscribe, and let the program serve on until what was sent to it before is done."""
        if not announcer.leave():
            return
        drain = self._plan.drain
        log.info("unsubscribed; requests under way have %g s", drain.longest)
        again = asyncio.get_running_loop().call_later(_AGAIN, announcer.leave)
        try:
            await _first(drain.wait(announcer.told), program.ended, self._hurry.wait())
        finally:
            again.cancel()

    def _on_signal(self, number: int) -> None:
        name = _name(number)
        if number in _STOPPING and not self._passed_on:
            if self._stopping.is_set():
                log.info("%s again: requests are waited for no longer", name)
                self._hurry.set()
            else:
                log.info("%s: stopping", name)
                self._stopped_by = number
                self._stopping.set()
        elif self._program is not None:
            self._program.signal(number)

    def _reap(self) -> None:
        if self._program is not None:
            self._program.reap()


def _settled(announcements: Sequence[Announcement]) -> list[Announcement]:
    """Return those whose address is known: a server with a name may not have been found yet."""
    return [a for a in announcements if not is_auto(a.address)]


async def _first(*awaited: Coroutine[Any, Any, object] | asyncio.Future[Any]) -> None:
    """Wait until one of them is done; cancel the coroutines among the others.

    Raises:
        Exception: what ended the one that is done.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(item) for item in awaited if isinstance(item, Coroutine)]
    futures = [item for item in awaited if isinstance(item, asyncio.Future)]
    try:
        done, _ = await asyncio.wait([*tasks, *futures], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for future in done:
        future.result()


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

"""Serving of an instance, from its start to the end that it is ordered to make."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from uwsgi_router.router.app.instance import HandOn, Instance
from uwsgi_router.router.app.process.garbage_collector import tune_gc
from uwsgi_router.router.core.log import log_file


@dataclass(slots=True)
class Orders:
    """Orders to end, of the operator's signals or of the master.

    Attributes:
        mercy: seconds for what runs.
        stop: to end: finish what runs.
        at_once: to end now.
        hand_on: to leave everything to another process; None: to end for good.
        left: to be called once nothing more is accepted.
    """

    mercy: float
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)
    hand_on: HandOn | None = None
    left: Callable[[], object] = lambda: None

    def stop_now(self) -> None:
        """End now."""
        self.stop.set()
        self.at_once.set()


async def serve(instance: Instance, orders: Orders, ready: Callable[[], object]) -> None:
    """Start an instance, serve, and end as ordered.

    Args:
        instance: bound already.
        orders: may be given at any time, before the start is done too.
        ready: called once it serves.

    Raises:
        StartError: it can't start.
    """
    loop = asyncio.get_running_loop()
    if not await _started(instance, loop, orders.stop):
        await instance.stop(0)
        return
    tune_gc()
    ready()
    await orders.stop.wait()
    if not orders.at_once.is_set():
        hand_on = orders.hand_on
        end = instance.stop(orders.mercy) if hand_on is None else instance.hand_on(hand_on)
        stopping = loop.create_task(end)
        forced = loop.create_task(orders.at_once.wait())
        await asyncio.wait((stopping, forced), return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        if stopping.done():
            await stopping
            return
        stopping.cancel()
        await asyncio.wait((stopping,))
    await instance.stop(0)


async def _started(
    instance: Instance, loop: asyncio.AbstractEventLoop, stop: asyncio.Event
) -> bool:
    """Start; return False if an order to stop came before it was done, which may wait for names.

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


def log_summaries(instance: Instance) -> None:
    """Log where each router listens, and where its requests go."""
    for kind, line in instance.summaries():
        logging.getLogger(f"uwsgi-router.{kind}").info("%s", line)


def reopen_logs(instance: Instance) -> None:
    """Open log files by their names again: they have been renamed."""
    file = log_file()
    if file is not None:
        file.reopen()
    for access_log in instance.access_logs:
        access_log.reopen()

"""Event loops: uvloop's where it is wanted and installed, otherwise asyncio's."""

import asyncio
import logging
from collections.abc import Callable

from uwsgi_router.router.config.errors import StartError

log = logging.getLogger("uwsgi-router")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


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

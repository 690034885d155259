"""Waiting for what has no event of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from uwsgi_router.router.supervision.loop import SelectorLoop

T = TypeVar("T")

#: Nothing in the tests takes so many seconds unless it hangs.
PATIENCE = 10.0


async def until(condition: Callable[[], object]) -> None:
    """Look at each turn of the loop."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


async def until_asked(question: Callable[[], Awaitable[object]]) -> None:
    """Ask again and again, until the answer is true."""
    async with asyncio.timeout(PATIENCE):
        while not await question():  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0)


async def a_few_turns() -> None:
    """Let the loop look at its descriptors several times: nothing may happen meanwhile."""
    for _ in range(10):
        await asyncio.sleep(0)


def turn_until(loop: SelectorLoop, condition: Callable[[], object]) -> None:
    """Turn a supervisor's loop until something is true."""
    end = loop.time() + PATIENCE
    while not condition():
        assert loop.time() < end
        loop.step(0.05)


def wait_until(condition: Callable[[], T], what: str, seconds: float = 15.0) -> T:
    """Ask again and again until the answer is true, and return it: for other processes.

    Raises:
        AssertionError: naming what did not happen in time.
    """
    end = time.monotonic() + seconds
    while True:
        if answer := condition():
            return answer
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)

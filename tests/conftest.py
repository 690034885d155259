"""What all tests share: both event loops, and an end for tests that hang.

Every ``async def`` test runs twice, on asyncio's own loop and on uvloop, because the program runs
on either.
"""

import asyncio
import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

import pytest
import uvloop

#: Seconds that a test may take, with set-up and teardown; ``@pytest.mark.deadline(seconds)`` allows
#: more.
DEADLINE = 60.0
#: A hung test that does not even notice that it was interrupted ends the whole run this much later.
LAST_RESORT = 20.0

_stacks = sys.__stderr__


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, let bytecode be kept, and keep a stderr that pytest does not capture."""
    global _stacks  # noqa: PLW0603
    # Images of containers forbid it; each of the programs that tests start would compile all that it imports, which is
    # more than half of its start. The variable goes to xdist's processes, too.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    config.addinivalue_line("markers", "deadline(seconds): this test may take longer than a minute")
    _stacks = os.fdopen(os.dup(2), "w")


def pytest_collection_finish() -> None:
    """Keep the collector, and tests that look at all objects, from what was there before the first test."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Close what pytest_configure opened."""
    if _stacks is not None and _stacks is not sys.__stderr__:
        _stacks.close()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops, for every async test."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Hung(BaseException):
    """The test took too long.

    Not an Exception: no ``except Exception`` of the code under test may swallow it.
    """


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    """End a hung test as a failure: where it stands or, on a loop, by cancelling its tasks."""
    faulthandler.dump_traceback(file=_stacks or 2)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise Hung("the test took too long; all stacks are above") from None
    for task in asyncio.all_tasks(loop):
        task.print_stack(file=_stacks)
        # "threadsafe" also wakes a loop that sleeps in select.
        loop.call_soon_threadsafe(task.cancel)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Give each test its deadline."""
    mark = item.get_closest_marker("deadline")
    seconds = float(mark.args[0]) if mark else DEADLINE
    previous = signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + LAST_RESORT, exit=True, file=_stacks or 2)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        faulthandler.cancel_dump_traceback_later()

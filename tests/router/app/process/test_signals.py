"""What a signal does, on both event loops."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from uwsgi_router.router.app.process.signals import Signals


class Process:
    """What the signals made of us."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[str] = asyncio.Queue()
        self.signals = Signals(
            asyncio.get_running_loop(),
            graceful=lambda: self.calls.put_nowait("graceful"),
            immediate=lambda: self.calls.put_nowait("immediate"),
            reopen=lambda: self.calls.put_nowait("reopen"),
            force=lambda status: self.calls.put_nowait(f"exit {status}"),
        )

    async def sent(self, number: signal.Signals) -> str:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            return await self.calls.get()


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    process = Process()
    process.signals.install()
    yield process
    process.signals.remove()


async def test_term_is_graceful_and_a_second_signal_stops_at_once(process: Process) -> None:
    assert await process.sent(signal.SIGTERM) == "graceful"
    assert await process.sent(signal.SIGTERM) == "immediate"
    assert await process.sent(signal.SIGTERM) == "exit 1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
async def test_int_and_quit_stop_at_once(process: Process, number: signal.Signals) -> None:
    assert await process.sent(number) == "immediate"
    assert await process.sent(number) == "exit 1"


async def test_int_ends_a_graceful_stop(process: Process) -> None:
    assert await process.sent(signal.SIGTERM) == "graceful"
    assert await process.sent(signal.SIGINT) == "immediate"


async def test_hup_and_usr1_open_logs_again_and_usr2_changes_nothing(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert await process.sent(signal.SIGHUP) == "reopen"
    assert await process.sent(signal.SIGUSR1) == "reopen"
    os.kill(os.getpid(), signal.SIGUSR2)
    # The loop handles signals in the order in which they came.
    assert await process.sent(signal.SIGTERM) == "graceful"
    assert [line.split(":")[0] for line in caplog.messages] == [
        "SIGHUP",
        "SIGUSR1",
        "SIGUSR2",
        "SIGTERM",
    ]


async def test_a_broken_pipe_is_no_signal(process: Process) -> None:
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN

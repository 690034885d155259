"""The reason why a program is not ready is logged when it is due, and when it changes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.lab.waiting import until
from uwsgi_router.subscriptions.client.readiness import Check
from uwsgi_router.subscriptions.client.until_ready import ReadyTiming, until_ready

SOON = 0.001


@asynccontextmanager
async def answering(*statuses: int) -> AsyncIterator[str]:
    """A program that answers its requests with these, in order; yields its address."""
    left = list(statuses)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % left.pop(0))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield "{}:{}".format(*server.sockets[0].getsockname())
        assert left == []


async def logged(
    caplog: pytest.LogCaptureFixture, timing: ReadyTiming, *statuses: int
) -> list[str]:
    """Return the reasons that were logged until the last of these answers."""
    check = Check.parse("/health", "example.com")
    with caplog.at_level(logging.INFO):
        async with answering(*statuses) as address:
            await until_ready(check, address, timing)
    return [message.rpartition(" with ")[2] for message in caplog.messages]


async def test_nothing_is_logged_of_a_program_that_is_ready_in_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    timing = ReadyTiming(first=SOON, longest=SOON)
    assert await logged(caplog, timing, 503, 503, 200) == []


async def test_a_reason_is_logged_once_and_another_one_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    timing = ReadyTiming(first=SOON, longest=0.1, tell=0.01)
    answers = [503] * 12 + [400, 400, 200]
    assert await logged(caplog, timing, *answers) == ["503", "400"]


async def test_a_reason_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    timing = ReadyTiming(first=0.2, longest=0.2, tell=0.3, repeat=0.1)
    assert (await logged(caplog, timing, 503, 503, 200))[:2] == ["503", "503"]


async def test_a_check_that_has_no_answer_yet_is_logged_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    held = asyncio.Event()
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        address = "{}:{}".format(*server.sockets[0].getsockname())
        check = Check.parse("/health", "example.com")
        waiting = asyncio.create_task(until_ready(check, address, ReadyTiming(SOON, tell=SOON)))
        await until(lambda: caplog.messages)
        waiting.cancel()
        held.set()
    assert caplog.messages == [f"not announced yet: {address} has not answered"]

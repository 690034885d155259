"""The reason why a program is not ready is logged when it is due, and when it changes."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from tests.lab.waiting import until
from uwsgi_router.subscriptions.client.readiness import Check
from uwsgi_router.subscriptions.client.until_ready import ReadyTiming, until_ready

SOON = 0.001
#: The status of the next answer, as far as these were logged.
Answers = Callable[[list[str]], int]


async def logged(
    caplog: pytest.LogCaptureFixture, timing: ReadyTiming, answers: Answers
) -> list[str]:
    """Return the statuses that were logged as reasons until the program answered with 200."""

    def statuses() -> list[str]:
        return [one.rpartition(" with ")[2] for one in caplog.messages if " with " in one]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % answers(statuses()))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        address = "{}:{}".format(*server.sockets[0].getsockname())
        with caplog.at_level(logging.INFO):
            await until_ready(Check.parse("/health", "example.com"), address, "http", timing)
    return statuses()


async def test_nothing_is_logged_of_a_program_that_is_ready_in_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    left = [503, 503, 200]
    timing = ReadyTiming(first=SOON, longest=SOON, tell=60)
    assert await logged(caplog, timing, lambda _: left.pop(0)) == []
    assert caplog.messages == []


async def test_a_reason_is_logged_once_and_another_one_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    again = [503, 503, 503]

    def answers(logged: list[str]) -> int:
        if not logged:
            return 503
        return again.pop() if again else 400 if logged == ["503"] else 200

    timing = ReadyTiming(first=SOON, longest=SOON, tell=0.01)
    assert await logged(caplog, timing, answers) == ["503", "400"]


async def test_a_reason_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    timing = ReadyTiming(first=SOON, longest=SOON, tell=0.01, repeat=0.01)
    logged_at_least = 3
    found = await logged(
        caplog, timing, lambda logged: 200 if len(logged) >= logged_at_least else 503
    )
    assert found[:logged_at_least] == ["503"] * logged_at_least


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
        waiting = asyncio.create_task(
            until_ready(check, address, "http", ReadyTiming(SOON, tell=SOON))
        )
        await until(lambda: caplog.messages)
        waiting.cancel()
        held.set()
    assert caplog.messages == [f"not announced yet: {address} has not answered"]

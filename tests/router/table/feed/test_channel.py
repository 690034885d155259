"""Channels of a feed: what comes last, and the end."""

import asyncio
import select
import socket
from typing import Any

from tests.lab.waiting import until
from uwsgi_router.router.table.feed.channel import FeedChannel
from uwsgi_router.router.table.feed.frames import encode


async def test_the_last_records_and_the_end_of_a_process_that_left_some_unread() -> None:
    """The socket is broken then: uvloop tells of that once, and of nothing afterwards."""
    ours, theirs = socket.socketpair()
    came: list[list[Any]] = []
    ended: list[bool] = []
    channel = FeedChannel(ours, asyncio.get_running_loop(), came.extend, lambda: ended.append(True))
    channel.send([("part", "unread")])
    # It is watched by now.
    theirs.sendall(encode([("part", "first")]))
    await until(lambda: came)
    assert select.select([theirs], [], [], 0)[0]
    theirs.sendall(encode([("part", "last")]))
    theirs.close()
    await until(lambda: ended)
    assert came == [["part", "first"], ["part", "last"]]
    assert channel.closed


async def test_nothing_is_read_after_it_was_closed() -> None:
    ours, theirs = socket.socketpair()
    came: list[list[Any]] = []

    def received(records: list[list[Any]]) -> None:
        came.extend(records)
        channel.close()

    channel = FeedChannel(ours, asyncio.get_running_loop(), received, lambda: came.append([]))
    theirs.sendall(encode([("part", "first")]))
    await until(lambda: came)
    for _ in range(3):
        await asyncio.sleep(0)
    assert came == [["part", "first"]]
    theirs.close()

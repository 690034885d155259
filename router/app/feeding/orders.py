"""Orders of the master about feeds: who is fed by whom, who takes the table over, who gives it up."""

import asyncio
import socket
from collections.abc import Coroutine, Mapping
from typing import Any

from uwsgi_router.router.app.feeding.feeding import Feeding
from uwsgi_router.router.app.feeding.post import FeedPost
from uwsgi_router.router.net.activation import adopt
from uwsgi_router.router.supervision.channel import Message
from uwsgi_router.router.table.feed.parts import Worker


class FeedOrders:
    """Orders about feeds to one process.

    Args:
        feeding: of the instance that they are for.
        post: of the instance.
        loop: the event loop.
    """

    def __init__(self, feeding: Feeding, post: FeedPost, loop: asyncio.AbstractEventLoop) -> None:
        self._feeding = feeding
        self._post = post
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()
        # One after the other: what is handed over may be taken back at once.
        self._turn = asyncio.Lock()

    def obey(self, message: Message) -> bool:
        """Do what a message says; return False if it is about something else."""
        members, post = message.members, self._post
        match members.get("do"):
            case "feed":
                post.feed(_socket(message))
            case "attach":
                post.attach(_socket(message), _worker(members))
            case "recover":
                post.recover(asked=members["asked"])
            case "take":
                here = (_socket(message), _worker(members)) if message.descriptors else None
                post.take(here)
            case "hand-over":
                self._do(self._feeding.hand_over(_socket(message)))
            case "keep":
                self._do(self._feeding.take_back())
            case _:
                return False
        return True

    def _do(self, order: Coroutine[Any, Any, None]) -> None:
        async def in_turn() -> None:
            async with self._turn:
                await order

        task = self._loop.create_task(in_turn())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _socket(message: Message) -> socket.socket:
    (descriptor,) = message.descriptors
    return adopt(descriptor)


def _worker(members: Mapping[str, Any]) -> Worker:
    return Worker(members["number"], members["generation"], members["pid"])

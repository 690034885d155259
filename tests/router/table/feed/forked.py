"""Processes with copies of one table, forked: real processes for what one event loop can't show."""

import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from tests.router.table.feed.shared import Copy, Keeper
from uwsgi_router.subscriptions.events import NodeAdded

#: Announced to have the copies say how they are.
PROBE: Final = b"probe.example"


class Forked:
    """A process with a copy, as its parent sees it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.theirs, ours = socket.socketpair()
        self._told, telling = socket.socketpair()
        self.pid = os.fork()
        if self.pid:
            ours.close()
            telling.close()
            self._told.setblocking(False)
            return
        try:
            self.theirs.close()
            self._told.close()
            asyncio.run(_copy(number, ours, telling))
        finally:
            os._exit(0)

    async def told(self) -> dict[str, Any]:
        """Return what it says when the next node of :data:`PROBE` has come."""
        loop = asyncio.get_running_loop()
        size = struct.unpack("!I", await loop.sock_recv(self._told, 4))[0]
        found: dict[str, Any] = json.loads(await loop.sock_recv(self._told, size))
        return found

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._told.close()
        self.theirs.close()


async def _copy(number: int, sock: socket.socket, telling: socket.socket) -> None:
    copy = Copy(number)
    changed = copy.table_changed

    def table_changed(events: Any) -> None:
        changed(events)
        if any(isinstance(event, NodeAdded) and event.key == PROBE for event in events):
            said = json.dumps(
                {
                    "at": copy.loop.time(),
                    "nodes": len(copy.registry),
                    "memory": resident(),
                    "cpu": sum(os.times()[:2]),
                }
            ).encode()
            telling.sendall(struct.pack("!I", len(said)) + said)

    copy.table_changed = table_changed  # type: ignore[method-assign]
    copy.feed.attach(sock)
    await asyncio.Event().wait()


def resident() -> int:
    """Bytes of memory that only this process has."""
    with open("/proc/self/smaps_rollup") as file:
        for line in file:
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1]) * 1024
    raise AssertionError


@contextmanager
def forked(count: int) -> Iterator[Sequence[Forked]]:
    """So many processes; to be called without an event loop."""
    children = [Forked(number) for number in range(count)]
    try:
        yield children
    finally:
        for child in children:
            child.close()


def attach(keeper: Keeper, children: Sequence[Forked]) -> None:
    """Have a keeper feed them."""
    for child in children:
        keeper.owner.attach(child.theirs, Copy(child.number).worker)


async def probe(keeper: Keeper, children: Sequence[Forked], number: int) -> list[dict[str, Any]]:
    """Announce a node, and return what each says about it; ``seconds`` is how long that took."""
    keeper.announce(f"10.255.{number >> 8}.{number & 255}:80", PROBE)
    began = keeper.loop.time()
    told = await asyncio.gather(*(child.told() for child in children))
    for one in told:
        one["seconds"] = one["at"] - began
    return list(told)

"""Steady load: clients that keep connections beside clients that open one each time, and nodes that say who they are.

Each request is counted, with the connection that it was sent on; nothing is sent again.
"""

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.lab.waiting import wait_until

#: Seconds after which a request counts as lost.
PATIENCE = 30.0
#: Requests after which a load ends by itself, however a test goes wrong.
MAXIMUM = 2_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of one request.

    Attributes:
        connection: number of the connection.
        opened: when that was begun to be opened, in monotonic seconds.
        started: when the request was sent.
        ended: when its answer had come.
        node: who answered; "" if nobody did.
        why: there was no answer; "" if there was one.
    """

    connection: int
    opened: float
    started: float
    ended: float
    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Pace:
    """Pace of a node: how many requests it works on at once, and seconds that each takes."""

    cores: int
    seconds: float


class NamedNodes:
    """Nodes that speak HTTP/1.1, keep connections, and answer with their names.

    Args:
        names: of the nodes.
        paces: of those that do not answer at once, by name.

    Attributes:
        addresses: by name.
    """

    def __init__(self, *names: str, paces: Mapping[str, Pace] | None = None) -> None:
        self.addresses: dict[str, str] = {}
        self._paces = paces or {}
        self._names = names
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    def close(self) -> None:
        """End them."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        servers = [self._loop.run_until_complete(self._server(name)) for name in self._names]
        self._ready.set()
        self._loop.run_forever()
        for server in servers:
            server.close()
        # asyncio's streams complain of tasks that are cancelled.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _server(self, name: str) -> asyncio.Server:
        pace = self._paces.get(name)
        cores = asyncio.Semaphore(pace.cores if pace else 1)
        answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    if pace:
                        async with cores:
                            await asyncio.sleep(pace.seconds)
                    writer.write(answer)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
        self.addresses[name] = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server


class SteadyLoad:
    """Requests until :meth:`stop`, half of the clients over kept connections.

    Args:
        address: of the router, ``host:port``.
        clients: how many send one request after the other.
        host: that requests ask for.
        pause: seconds of a client between two requests on a connection, or two connections.

    Attributes:
        asked: what became of each request.
    """

    def __init__(
        self, address: str, clients: int, host: str = "example.com", *, pause: float = 0.0
    ) -> None:
        self.asked: list[Asked] = []
        self._host, self._port = address.rsplit(":", 1)
        self._clients = clients
        self._pause = pause
        self._request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()

    def stop(self) -> None:
        """Begin no further request, and wait for those under way."""
        self._stopping.set()
        self._thread.join()

    def wait_for(self, count: int, seconds: float = 60.0) -> None:
        """Wait until so many more requests have ended."""
        target = len(self.asked) + count
        wait_until(lambda: len(self.asked) >= target, f"{count} more requests end", seconds)

    def lost(self) -> Counter[str]:
        """Return how many requests got no answer, and why."""
        return Counter(one.why for one in self.asked if one.why)

    def answered_by(self, node: str, since: float) -> Counter[int]:
        """Return how many requests sent since then a node has answered, by connection opened before."""
        return Counter(
            one.connection
            for one in self.asked
            if one.node == node and one.started >= since and one.opened < since
        )

    def answered_on_new(self, node: str, since: float) -> int:
        """Return how many requests on connections opened since then a node has answered."""
        return sum(one.node == node and one.opened >= since for one in self.asked)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._client(keep=number % 2 == 0))

    async def _client(self, *, keep: bool) -> None:
        while not self._stopping.is_set() and len(self.asked) < MAXIMUM:
            number, opened = next(self._numbers), time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    reader, writer = await asyncio.open_connection(self._host, self._port)
            except (OSError, TimeoutError) as exc:
                self._note(number, opened, opened, "", f"connect: {exc!r}")
                continue
            try:
                while await self._ask(number, opened, reader, writer) and keep:
                    if self._stopping.is_set():
                        break
            finally:
                writer.close()

    async def _ask(
        self,
        number: int,
        opened: float,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Send a request and read its answer; return True if another one may follow."""
        started, received = time.monotonic(), b""
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(self._request)
                received = await reader.readuntil(b"\r\n\r\n")
                head = received.lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
        except (OSError, EOFError, TimeoutError, ValueError) as exc:
            self._note(number, opened, started, "", f"{exc!r} after {received[:40]!r}")
            return False
        if not received.startswith(b"HTTP/1.1 200 "):
            self._note(number, opened, started, "", received.partition(b"\r\n")[0].decode())
        else:
            self._note(number, opened, started, body.decode(), "")
        if self._pause:
            await asyncio.sleep(self._pause)
        return b"connection: close" not in head

    def _note(self, number: int, opened: float, started: float, node: str, why: str) -> None:
        self.asked.append(Asked(number, opened, started, time.monotonic(), node, why))

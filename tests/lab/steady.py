"""Steady clients: some keep their connections, some make a new one for each request; every loss is counted."""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from tests.lab.waiting import wait_until

#: Seconds after which a request counts as lost.
PATIENCE = 30.0


@dataclass
class Told:
    """What became of the requests: how many were answered, and what went wrong with others."""

    answered: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    by: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


class SteadyLoad:
    """Clients that ask one request after the other until :meth:`stop`; a context manager.

    Args:
        port: of the loopback.
        clients: half of them keep their connections.
        path: asked for; the body's first word is who answered.
        pause: seconds of a client between two requests.
    """

    def __init__(
        self, port: int, *, clients: int = 64, path: str = "/", pause: float = 0.02
    ) -> None:
        self.told = Told()
        self._port = port
        self._clients = clients
        self._path = path
        self._pause = pause
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def stop(self) -> Told:
        """Begin no further request, wait for those under way, and tell what became of all."""
        self._stopping.set()
        self._thread.join()
        return self.told

    def wait_for(self, count: int, seconds: float = 30.0) -> None:
        """Wait until ``count`` more requests were answered."""
        wanted = self.told.answered + count
        wait_until(lambda: self.told.answered >= wanted, f"{count} more answers", seconds)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._client(keeps=number % 2 == 0))

    async def _client(self, *, keeps: bool) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    if streams is None:
                        streams = await asyncio.open_connection("127.0.0.1", self._port)
                    status, body, stays = await self._ask(*streams, keeps=keeps)
            except (OSError, EOFError, TimeoutError) as exc:
                status, body, stays = str(exc) or type(exc).__name__, b"", False
            if status == "200":
                self.told.answered += 1
                self.told.by[body.partition(b" ")[0].decode()] += 1
                self.told.slowest = max(self.told.slowest, time.monotonic() - started)
            else:
                self.told.lost[status] += 1
            if not stays and streams is not None:
                streams[1].close()
                streams = None
            await asyncio.sleep(self._pause)
        if streams is not None:
            streams[1].close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keeps: bool
    ) -> tuple[str, bytes, bool]:
        how = "keep-alive" if keeps else "close"
        writer.write(
            f"GET {self._path} HTTP/1.1\r\nHost: shop.example\r\nConnection: {how}\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        body = await reader.readexactly(int(fields["content-length"]))
        return lines[0].split(" ")[1], body, keeps and fields.get("connection") != "close"

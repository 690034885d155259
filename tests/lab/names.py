"""A name server for routers in this process."""

import asyncio
import socket
from typing import Any, Self

from tests.lab.clock import LoopAhead
from tests.lab.router import Router
from uwsgi_router.router.net.resolver import Resolver


class Names(LoopAhead):
    """An event loop whose getaddrinfo answers what the test says.

    A list of addresses is the answer, an empty one "no such name"; None does not come until
    :meth:`comes`.
    """

    def __init__(self, answers: dict[str, list[str] | None]) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[str] = []
        self._came = asyncio.Event()

    async def getaddrinfo(self, host: str, port: int, **more: int) -> list[tuple[Any, ...]]:
        if host not in self.answers:
            return list(await self._loop.getaddrinfo(host, port, **more))
        self.asked.append(host)
        await asyncio.sleep(0)
        while (addresses := self.answers[host]) is None:
            self._came.clear()
            await self._came.wait()
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in text else socket.AF_INET, 1, 6, "", (text, port))
            for text in addresses
        ]

    def comes(self, host: str, addresses: list[str]) -> None:
        self.answers[host] = addresses
        self._came.set()

    def resolver(self, patience: float = 1.0) -> Resolver:
        return Resolver(self.as_loop, patience=patience)

    def given_to(self, router: Router) -> Self:
        """Let this answer the router's questions from now on."""
        router.gateway.context.resolver = self.resolver()
        return self

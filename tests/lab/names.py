"""A name server for routers in this process, which may be silent."""

import socket
import threading
from typing import Any, Self

from tests.lab.clock import LoopAhead
from tests.lab.router import Router
from uwsgi_router.router.net.look_ups import LookUps
from uwsgi_router.router.net.resolver import Resolver


class Names(LoopAhead):
    """A getaddrinfo that answers what the test says, and the running loop for whoever asks it.

    A list of addresses is the answer, an empty one "no such name"; None does not come until
    :meth:`comes`. Other names are the system's.
    """

    def __init__(self, answers: dict[str, list[str] | None]) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[str] = []
        self._came = threading.Condition()

    def getaddrinfo(self, host: str, port: int, **more: Any) -> list[tuple[Any, ...]]:
        if host not in self.answers:
            return list(socket.getaddrinfo(host, port, **more))
        self.asked.append(host)
        with self._came:
            while (addresses := self.answers[host]) is None:
                self._came.wait()
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in text else socket.AF_INET, 1, 6, "", (text, port))
            for text in addresses
        ]

    def comes(self, host: str, addresses: list[str]) -> None:
        with self._came:
            self.answers[host] = addresses
            self._came.notify_all()

    def look_ups(self, **limits: Any) -> LookUps:
        return LookUps(self.as_loop, getaddrinfo=self.getaddrinfo, **limits)

    def resolver(self, patience: float = 1.0) -> Resolver:
        return Resolver(self.as_loop, patience=patience, look_ups=self.look_ups())

    def given_to(self, router: Router) -> Self:
        """Let this answer the router's questions from now on."""
        router.gateway.context.resolver = self.resolver()
        return self

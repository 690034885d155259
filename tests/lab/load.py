"""A small HTTP load generator: bounded, and exact about what happened to each request.

It runs on an event loop in a thread of its own; each request takes a connection of its own, so that
a failure is that request's failure and nobody else's.
"""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass

from tests.lab.waiting import wait_until

#: Requests after which a load ends by itself, however a test goes wrong.
MAXIMUM = 20_000
#: Seconds after which a request counts as lost.
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    Attributes:
        method: GET or POST.
        started: monotonic seconds.
        seconds: how long it took.
        status: HTTP status; 0 if there was no whole answer.
        vassal: who answered; "" if none did.
        reason: why there was no whole answer; "" if there was one.
    """

    method: str
    started: float
    seconds: float
    status: int
    vassal: str
    reason: str

    @property
    def failed(self) -> bool:
        """True unless the application's whole answer arrived."""
        return self.status != 200


class Load:
    """Requests to ``http://127.0.0.1:port/path`` until :meth:`stop`.

    Args:
        port: nginx's.
        path: with query.
        clients: how many send one request after the other (ignored with ``rate``).
        rate: requests begun per second, however long each takes; None: as the clients can.
        methods: taken in turn.
    """

    def __init__(
        self,
        port: int,
        path: str = "/",
        *,
        clients: int = 8,
        rate: float | None = None,
        methods: tuple[str, ...] = ("GET",),
    ) -> None:
        self.outcomes: list[Outcome] = []
        self._port = port
        self._path = path
        self._clients = clients
        self._rate = rate
        self._methods = methods
        self._begun = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end_soon(self) -> None:
        """Begin no further request."""
        self._stopping.set()

    def stop(self) -> None:
        """Begin no further request, and wait for those under way."""
        self.end_soon()
        if self._thread.ident is not None:
            self._thread.join()

    def wait_for(self, count: int, seconds: float = 30.0) -> None:
        """Wait until ``count`` more requests have ended."""
        target = len(self.outcomes) + count
        wait_until(lambda: len(self.outcomes) >= target, f"{count} more requests end", seconds)

    def failures(self, method: str) -> list[Outcome]:
        """Return the requests of that method that failed."""
        return [outcome for outcome in self.outcomes if outcome.failed and outcome.method == method]

    def lost(self) -> dict[str, int]:
        """Return how many requests failed, by method, status and reason; {} if none did."""
        return dict(Counter(f"{o.method} {o.status} {o.reason}" for o in self.outcomes if o.failed))

    def answered_by(self, since: float = 0.0) -> Counter[str]:
        """Return how many of the requests begun since then each vassal answered."""
        return Counter(o.vassal for o in self.outcomes if o.vassal and o.started >= since)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            if self._rate is None:
                for _ in range(self._clients):
                    group.create_task(self._client())
                return
            start = time.monotonic()
            while not self._ended():
                group.create_task(self._request())
                self._begun += 1
                due = start + self._begun / self._rate
                await asyncio.sleep(due - time.monotonic())

    def _ended(self) -> bool:
        return self._stopping.is_set() or self._begun >= MAXIMUM

    async def _client(self) -> None:
        while not self._ended():
            self._begun += 1
            await self._request()

    async def _request(self) -> None:
        method = self._methods[self._begun % len(self._methods)]
        body = b"x" * 1000 if method == "POST" else b""
        head = f"{method} {self._path} HTTP/1.0\r\nHost: example.com\r\n"
        if body:
            head += f"Content-Length: {len(body)}\r\n"
        started = time.monotonic()
        status, answer, reason = 0, b"", ""
        try:
            async with asyncio.timeout(PATIENCE):
                status, answer = await self._exchange(head.encode() + b"\r\n" + body)
        except TimeoutError:
            reason = f"no answer for {PATIENCE:g} s"
        except (OSError, ValueError) as exc:
            reason = str(exc) or type(exc).__name__
        vassal = answer.split(b" ", 1)[0].decode() if status == 200 else ""
        seconds = time.monotonic() - started
        self.outcomes.append(Outcome(method, started, seconds, status, vassal, reason))

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(request)
            answer = await reader.read(-1)
        finally:
            writer.close()
        head, separator, body = answer.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if not separator:
            raise ValueError(f"the answer ended after {len(answer)} bytes, inside its head")
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length" and int(value) != len(body):
                raise ValueError(f"{len(body)} of {int(value)} body bytes arrived")
        return int(lines[0].split(b" ")[1]), body

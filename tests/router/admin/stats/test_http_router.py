"""What the stats port of a real HTTP router shows."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client.parser import text_string_to_metric_families

from uwsgi_router.router.api import RouterHttp

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class HttpNode:
    """Answers each request on its connections, and keeps them; with ``held`` not before that is set."""

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self.held.set()
        self.asked = asyncio.Semaphore(0)
        self.address = ""
        self._connections: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["HttpNode"]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            self.address = f"{host}:{port}"
            yield self
            # The router has gone: so do its connections.
            await asyncio.gather(*filter(None, self._connections))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(asyncio.current_task())
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.asked.release()
                await self.held.wait()
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        await writer.wait_closed()


async def fetch(address: str, path: str) -> bytes:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.partition(b"\r\n\r\n")[2]


async def metrics(router: RouterHttp) -> dict[str, float]:
    """The series of the router, by their short names; of one node there is only one."""
    text = (await fetch(router.stats_addresses[0], "/metrics")).decode()
    return {
        sample.name.removeprefix("uwsgi_router_"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("router") == "http"
    }


def router_before(node: HttpNode) -> RouterHttp:
    router = RouterHttp("127.0.0.1:0", forward_to=node.address)
    router.set_basic_params(stats_server="127.0.0.1:0")
    return router.set_backend_params(http=True, connections=1, keepalive=30)


async def test_the_document_has_the_routers_name_and_its_node() -> None:
    async with HttpNode().serving() as node, router_before(node) as router:
        assert await fetch(router.addresses[0], "/") == b"ok"
        document = json.loads(await fetch(router.stats_addresses[0], "/"))
    assert list(document) == [
        *("version", "pid", "uid", "gid", "cwd", "active_sessions", "http"),
        *("static_nodes", "cheap", "refused_connections", "idle_closed"),
    ]
    assert document["static_nodes"] == [{"name": node.address, "hits": 1, "grace": 0}]


async def test_kept_connections_and_waiting_requests_are_counted() -> None:
    async with HttpNode().serving() as node, router_before(node) as router:
        assert (await metrics(router))["kept_connections"] == 0
        await fetch(router.addresses[0], "/")
        idle = await metrics(router)
        assert (idle["kept_connections"], idle["node_kept_connections"]) == (1, 1)
        assert (idle["requests_queueing"], idle["requests_queued_total"]) == (0, 0)

        await node.asked.acquire()
        node.held.clear()
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(fetch(router.addresses[0], "/"))
            await node.asked.acquire()
            while (busy := await metrics(router))["requests_queueing"] < 1:
                pass
            node.held.set()
        assert (busy["kept_connections"], busy["node_active"]) == (0, 1)
        after = await metrics(router)
        assert (after["requests_queueing"], after["requests_queued_total"]) == (0, 1)
        assert after["requests_completed_total"] == 3

"""Cache socket: uWSGI's workers and scripts fill and read our caches (uWSGI: plugins/cache/cache.c).

One command per connection, as uWSGI has it; every failure is an end without a byte, and one line in the log. A value is
only read when it can be stored.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from math import ceil, inf

from uwsgi_router.protocol.cache import (
    FORM_GET,
    FORM_VARIABLES,
    OK,
    CacheCommand,
    Hit,
    decode_command,
    encode_hit,
    encode_miss,
)
from uwsgi_router.protocol.uwsgi import MAX_DATASIZE, PacketError
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.net.service import BoundedService, ServiceClient, ServiceLimits
from uwsgi_router.router.routing.cache_store import Cache, Caches, NotStored

log = logging.getLogger("uwsgi-router.cache")


class CommandRefused(Exception):
    """A command that is not carried out; ``str()`` says why."""


class CacheServer(BoundedService):
    """Carries out commands on all caches.

    Args:
        listeners: the sockets, listening; closed with the server.
        caches: what they give access to.
        loop: the event loop; items end on its clock.
        wall_clock: returns the epoch; clients hear of ends in it.
        limits: see :class:`ServiceLimits`.
    """

    def __init__(
        self,
        listeners: Sequence[BoundSocket],
        caches: Caches,
        *,
        loop: asyncio.AbstractEventLoop,
        wall_clock: Callable[[], float],
        limits: ServiceLimits | None = None,
    ) -> None:
        self._limits = limits or ServiceLimits()
        super().__init__(listeners, loop, self._limits)
        self._caches = caches
        self._wall_clock = wall_clock
        self._limited = RateLimited(log)

    makes_room = True

    async def serve(self, client: ServiceClient) -> None:
        """Carry out the client's command."""
        try:
            answer = await self._answer(client)
        except (PacketError, CommandRefused) as exc:
            self._limited.warning("refused", "refused a cache command from %s: %s", client, exc)
        else:
            await client.send(answer)

    def cut_off(self, client: ServiceClient) -> None:
        """Log that a command took too long."""
        text = "cut off a cache client, %s: not done within %g s"
        self._limited.warning("slow", text, client, self._limits.total)

    async def _answer(self, client: ServiceClient) -> bytes:
        """Read a command, carry it out, and return what the client is told.

        Raises:
            PacketError: what came is no command.
            CommandRefused: it can't be carried out.
        """
        data = b""
        while (read := decode_command(data)) is None:
            more = await client.recv()
            if not more:
                if data:
                    raise PacketError(f"it ended after {len(data)} bytes, inside the packet")
                return b""
            data += more
        command, end = read
        cache = self._caches.find(command.cache)
        if cache is None:
            raise CommandRefused(f"there is no cache {command.cache[:80]!r}")
        if command.name in {"set", "update"}:
            value = command.value
            if value is None:
                value = await self._value(client, cache, command.size, data[end:])
            return self._store(cache, command, value)
        return self._other(cache, command)

    async def _value(self, client: ServiceClient, cache: Cache, size: int, begun: bytes) -> bytes:
        if size > cache.config.max_value:
            raise CommandRefused(f"a value of {size} bytes, at most {cache.config.max_value} fit")
        value = bytearray(begun)
        while len(value) < size:
            more = await client.recv()
            if not more:
                raise PacketError(f"it ended after {len(value)} of {size} bytes of value")
            value += more
        return bytes(value[:size])

    def _store(self, cache: Cache, command: CacheCommand, value: bytes) -> bytes:
        try:
            cache.store(
                command.key,
                value,
                self._loop.time(),
                lifetime=command.expires,
                overwrite=command.name == "update",
            )
        except NotStored as exc:
            raise CommandRefused(f"{command.name} {command.key[:80]!r}: {exc}") from exc
        return OK if command.form == FORM_VARIABLES else b""

    def _other(self, cache: Cache, command: CacheCommand) -> bytes:
        now = self._loop.time()
        if command.name == "clear":
            cache.clear()
            return OK
        if command.name == "del":
            found = cache.delete(command.key, now)
            return OK if found and command.form == FORM_VARIABLES else b""
        item = cache.get(command.key, now)
        if command.name == "exists":
            return OK if item is not None else b""
        if item is None:
            return encode_miss(command.form)
        if command.form == FORM_GET and len(item.value) > MAX_DATASIZE:
            raise CommandRefused(f"{len(item.value)} bytes are too many for modifier2 {FORM_GET}")
        ends = 0
        if item.expires != inf:
            ends = ceil(self._wall_clock() + item.expires - now)
        return encode_hit(Hit(len(item.value), ends), command.form) + item.value

"""Commons: table of announced nodes, connection pool and poller, shared by the instances that use one table."""

import asyncio
import socket
from collections.abc import Iterable, Iterator, Sequence

from uwsgi_router.protocol.address import Address
from uwsgi_router.router.app.assembly import AssembledRouter, Shared
from uwsgi_router.router.app.file_watch import FileWatch
from uwsgi_router.router.app.tables import Tables
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig, SubscriptionConfig
from uwsgi_router.router.config.subscription_checks import verified_differently
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.net.own import OwnAddresses
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.router.table.timing import TableTiming
from uwsgi_router.subscriptions.health import Ejections


class Commons:
    """Commons: begins with its first member, and ends with its last one.

    The command has one instance, and so one member. In a program each router is an instance of its own, and several may
    share a table.

    Args:
        config: of the tables.
        timing: of the routers.
        table_timing: of the tables.
        reads: as for :class:`Tables`.

    Attributes:
        config: of the tables.
        tables: of announced nodes.
    """

    def __init__(
        self,
        config: SubscriptionConfig,
        timing: Timing,
        table_timing: TableTiming | None = None,
        *,
        reads: bool = True,
    ) -> None:
        self.config = config
        self.tables = Tables(config, table_timing, reads=reads)
        self._timing = timing
        self._shared: Shared | None = None
        self._members: dict[object, Sequence[AssembledRouter]] = {}
        # Members, and those that have left and are not closed yet.
        self._held: set[object] = set()
        self._own: dict[object, OwnAddresses] = {}
        self._own_streams: dict[object, OwnAddresses] = {}
        self._own_tables = OwnAddresses()
        self._process = ProcessConfig()
        self._file_watch: FileWatch | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that its members run on, once one does."""
        return None if self._shared is None else self._shared.loop

    @property
    def empty(self) -> bool:
        """True if there is no member, or none any more."""
        return not self._members

    def sockets(self) -> Iterator[BoundSocket]:
        """Yield what was bound."""
        return self.tables.sockets()

    def join(
        self,
        member: object,
        routers: Sequence[AssembledRouter],
        process: ProcessConfig,
        inherited: Inherited,
    ) -> None:
        """Take in a member with its routers, and open the sockets that their tables still need.

        Raises:
            StartError: if one can't be opened, or they believe other nodes than routers that have these nodes, too.
        """
        differences = verified_differently(
            router.config for router in (*self._routers(without=member), *routers)
        )
        if differences:
            raise StartError(differences[0])
        self._members[member] = routers
        self._held.add(member)
        self._process = process
        self.tables.bind([router.config for router in routers], process, inherited)

    def enter(
        self, member: object, streams: Iterable[socket.socket], sockets: Iterable[socket.socket]
    ) -> Shared:
        """Return what the routers of a member share with those of others; to be called on the event loop.

        Args:
            member: that has joined.
            streams: its listeners: no request is sent there.
            sockets: all that it has bound itself: no node announces itself there.
        """
        self._own_streams[member] = OwnAddresses(streams)
        self._own[member] = OwnAddresses(sockets)
        self._look_at_own_tables()
        if self._shared is None:
            loop = asyncio.get_running_loop()
            ejections = Ejections(self.config.max_fails, self.tables.timing.first_ejection)
            self._shared = Shared(loop, self._is_own_stream, ejections, self._timing)
        return self._shared

    def is_own(self, address: Address) -> bool:
        """Return True if an address is one of this program's."""
        return address in self._own_tables or any(address in own for own in self._own.values())

    def _is_own_stream(self, address: Address) -> bool:
        return any(address in own for own in self._own_streams.values())

    async def start(self, *, restore: bool = True) -> None:
        """Begin to check and save the tables, and announce the routers of all members to other routers.

        Args:
            restore: as for :meth:`Tables.start`.
        """
        assert self._shared is not None
        self.tables.start(
            self._shared.resolver, self._shared.loop, self._routers(), restore=restore
        )
        if self._file_watch is not None:
            self._file_watch.close()
        self._file_watch = FileWatch(
            self.sockets(),
            self._process,
            self._shared.loop,
            self._look_at_own_tables,
            interval=self._timing.look_at_files,
        )
        self._file_watch.start()
        await self.tables.announce(self._routers())

    def _look_at_own_tables(self) -> None:
        self._own_tables = OwnAddresses(bound.sock for bound in self.sockets())

    async def withdraw(self, member: object) -> None:
        """Announce the routers of a member no more."""
        await self.tables.announce(self._routers(without=member))

    def _routers(self, without: object = None) -> list[AssembledRouter]:
        members = self._members.items()
        return [
            router for member, routers in members if member is not without for router in routers
        ]

    async def leave(self, member: object) -> None:
        """Tell a member's routers no more of the tables; the last one ends the tables."""
        for router in self._members.pop(member, ()):
            if router.gateway is not None:
                self.tables.detach(router.gateway)
        if not self._members:
            if self._file_watch is not None:
                self._file_watch.close()
            await self.tables.close()

    def release(self, member: object) -> None:
        """Let go of a member that has left, or has only joined; with the last one everything is closed."""
        self._members.pop(member, None)
        self._held.discard(member)
        self._own.pop(member, None)
        self._own_streams.pop(member, None)
        if self._held:
            return
        if self._shared is not None:
            self._shared.close()
            self._shared = None
        for bound in self.sockets():
            bound.unlink()
            bound.close()

"""Tables of announced nodes of one configuration: sockets, state file, health checks."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from uwsgi_router.protocol.address import Address
from uwsgi_router.router.admin.control.nodes import ConfiguredNodes
from uwsgi_router.router.admin.control.operator import Operator, ServedElsewhere
from uwsgi_router.router.app.assembly import AssembledRouter
from uwsgi_router.router.certificates.expiry import CertificateEnd
from uwsgi_router.router.certificates.nodes import NodeTls
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig, RouterConfig, SubscriptionConfig
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.lanes import second_lane
from uwsgi_router.router.net.listeners import BindError, BoundSocket, bind_datagram
from uwsgi_router.router.net.resolver import Resolver
from uwsgi_router.router.net.unix_file import SocketFileError, set_access
from uwsgi_router.router.proxy.connection import Connections
from uwsgi_router.router.table.prober import Prober
from uwsgi_router.router.table.resubscription import Announced, announced_by
from uwsgi_router.router.table.state_file import StateFile
from uwsgi_router.router.table.table import Table, TableListener
from uwsgi_router.router.table.timing import TableTiming


class Tables:
    """Tables of a configuration; routers that name the same subscription server share one.

    Args:
        config: of all of them.
        timing: times that no option sets.
        reads: False: another process reads the announces and decides, these are copies.

    Attributes:
        timing: see above.
        probers: the health checks.
    """

    def __init__(
        self, config: SubscriptionConfig, timing: TableTiming | None = None, *, reads: bool = True
    ) -> None:
        self._config = config
        self._reads = reads
        self.timing = timing or TableTiming()
        self._datagrams: dict[str, list[BoundSocket]] = {}
        self._resubscribing: list[BoundSocket] = []
        self._by_address: dict[str, Table] = {}
        self._state: StateFile | None = None
        self._announced: dict[Table, Announced | None] = {}
        self._started = False
        self.probers: list[Prober] = []

    def __iter__(self) -> Iterator[Table]:
        """Yield each table once."""
        yield from dict.fromkeys(self._by_address.values())

    # --- sockets ---

    def bind(
        self, routers: Iterable[RouterConfig], process: ProcessConfig, inherited: Inherited
    ) -> None:
        """Open the sockets of all subscription servers.

        Raises:
            StartError: if one can't be opened.
        """
        if not self._reads:
            return
        config = self._config
        mode = config.chmod_socket
        if mode is None and config.tenants:
            # They are other users, who otherwise could not send there.
            mode = 0o666
        for text in dict.fromkeys(text for one in routers for text in one.subscription_servers):
            if text in self._datagrams:
                continue
            bound = self._datagrams[text] = bind_datagram(text, process, inherited, lanes=True)
            for one in bound:
                if one.has_own_file and mode is not None:
                    self._set_mode(one, mode)
                if not one.held:
                    one.second = second_lane(one)
        if config.resubscribe and config.resubscribe_bind and not self._resubscribing:
            self._resubscribing = bind_datagram(config.resubscribe_bind, process, inherited)

    @staticmethod
    def _set_mode(bound: BoundSocket, mode: int) -> None:
        try:
            path = os.fsencode(bound.sock.getsockname())
            set_access(path, mode, None, option="socket")
        except SocketFileError as exc:
            raise BindError(
                f"cannot receive datagrams on {bound.name}: subscription-{exc}"
            ) from exc

    def sockets(self) -> Iterator[BoundSocket]:
        """Yield what was bound."""
        yield from self._resubscribing
        for bound in self._datagrams.values():
            yield from bound

    def servers_of(self, router: RouterConfig) -> list[BoundSocket]:
        """Return the sockets that a router's nodes announce themselves to."""
        servers = router.subscription_servers
        return [bound for text in servers for bound in self._datagrams.get(text, ())]

    # --- tables ---

    def table_of(
        self,
        router: RouterConfig,
        loop: asyncio.AbstractEventLoop,
        is_own: Callable[[Address], bool],
    ) -> Table | None:
        """Return the router's table: one that already has one of its addresses, or a new one.

        Raises:
            StartError: its addresses belong to different tables.
        """
        if not router.subscription_servers:
            return None
        tables = self._by_address
        known = [tables[text] for text in router.subscription_servers if text in tables]
        if any(table is not known[0] for table in known):
            raise StartError(
                f"{router.kind}-subscription-server: these addresses belong to different tables: "
                + ", ".join(router.subscription_servers)
            )
        table = known[0] if known else Table(self._config, loop, is_own=is_own, timing=self.timing)
        fresh = [text for text in router.subscription_servers if text not in tables]
        for text in fresh:
            tables[text] = table
        table.start([bound for text in fresh for bound in self._datagrams.get(text, ())])
        return table

    def start(
        self,
        resolver: Resolver,
        loop: asyncio.AbstractEventLoop,
        routers: Sequence[AssembledRouter],
        *,
        restore: bool = True,
    ) -> None:
        """Fill the tables with what was saved, and check their nodes; does nothing if it was done.

        Args:
            resolver: of nodes' names.
            loop: the event loop.
            routers: that use the tables.
            restore: False: what the tables have is newer than what was saved.
        """
        if self._started:
            return
        self._started = True
        config = self._config
        if config.state is not None:
            # Its times have to mean something to the next run.
            wall_clock = time.time  # noqa: TID251
            self._state = StateFile(
                config.state, self._named(), loop, wall_clock=wall_clock, timing=self.timing
            )
            if restore:
                self._state.restore()
            self._state.start()
        if config.check is not None:
            for table in self:
                prober = Prober(
                    config.check,
                    table.registry,
                    table.report,
                    resolver,
                    self._node_tls(table, routers),
                    loop,
                    self.timing,
                )
                table.watch(prober.note)
                self.probers.append(prober)

    def _node_tls(self, table: Table, routers: Iterable[AssembledRouter]) -> NodeTls:
        """Return the TLS to a table's nodes: its routers' all believe the same."""
        return next(
            router.node_tls
            for router in routers
            if any(self._by_address[text] is table for text in router.config.subscription_servers)
        )

    async def announce(self, routers: Sequence[AssembledRouter]) -> None:
        """Announce the routers of each table to other routers, instead of those that were; none: withdraw it."""
        if not self._config.resubscribe:
            return
        for table in self:
            announced = announced_by(
                [
                    ("uwsgi" if router.config.kind == "fastrouter" else "http", router.streams)
                    for router in routers
                    # What the others speak no router can be told.
                    if router.config.kind in ("fastrouter", "http")
                    and any(
                        self._by_address[text] is table
                        for text in router.config.subscription_servers
                    )
                ]
            )
            if announced == self._announced.get(table):
                continue
            await table.withdraw()
            self._announced[table] = announced
            if announced is not None:
                table.resubscribe(announced, [bound.sock for bound in self._resubscribing])

    def detach(self, listener: TableListener) -> None:
        """Tell a router no more of its table."""
        for table in self:
            table.unused_by(listener)

    def operator(
        self,
        configured: Sequence[ConfiguredNodes] = (),
        certificates: Callable[[], Sequence[CertificateEnd]] = tuple,
        routers: Sequence[Connections] = (),
        elsewhere: ServedElsewhere | None = None,
    ) -> Operator:
        """Return the operator of the tables, and of configured nodes; to be called once they have started.

        Args:
            configured: nodes.
            certificates: returns the ends of those that are served.
            routers: connections of those whose streams end with a drain.
            elsewhere: see :class:`Operator`.
        """
        clock = asyncio.get_running_loop().time
        return Operator(self._named(), clock, configured, certificates, routers, elsewhere)

    @property
    def by_address(self) -> Mapping[str, Table]:
        """The tables by each of their addresses, once the routers have been made."""
        return self._by_address

    def _named(self) -> dict[str, Table]:
        """Return each table by its first address, by which its part of a state file is known."""
        names: dict[str, Table] = {}
        for text, table in self._by_address.items():
            if table not in names.values():
                names[text] = table
        return names

    def pause(self) -> None:
        """Read no announces until :meth:`resume`; those that come wait."""
        for table in self:
            table.pause()

    def resume(self) -> None:
        """Read announces, after :meth:`pause`."""
        for table in self:
            table.resume()

    async def leave_to_others(self) -> None:
        """Read no announces, check no nodes, save nothing: another process does. :meth:`start` begins again."""
        self.pause()
        await self._end_checks()
        self._announced.clear()
        self._started = False

    async def _end_checks(self) -> None:
        """End health checks, and save the tables."""
        for prober in self.probers:
            for table in self:
                table.unwatch(prober.note)
            await prober.close()
        self.probers.clear()
        if self._state is not None:
            await self._state.close()
            self._state = None

    async def close(self) -> None:
        """End health checks, save the tables, and read no more announces."""
        await self._end_checks()
        for table in self:
            table.close()

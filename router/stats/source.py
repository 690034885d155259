"""What a router shows to its stats port: the one place where stats and the engine meet."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from router.stats.counters import Counters
from subscriptions.registry import Registry


class StaticNode(Protocol):
    """A configured node (``to``): a :class:`subscriptions.node.Node` with the time it failed."""

    @property
    def name(self) -> str:
        """As configured."""

    @property
    def requests(self) -> int:
        """Successful connects."""

    @property
    def tx(self) -> int:
        """Bytes read from it."""

    @property
    def rx(self) -> int:
        """Bytes written to it."""

    @property
    def reference(self) -> int:
        """Exchanges that hold it now."""

    @property
    def failcnt(self) -> int:
        """Failed connects."""

    @property
    def failed_at(self) -> float | None:
        """Loop time of its last connect failure; None once it is probed again (``grace``)."""


class StatsSource(Protocol):
    """One router, as its stats port sees it."""

    @property
    def name(self) -> str:
        """Short router name, as in uWSGI: ``fastrouter``. It is a key of the document."""

    @property
    def sockets(self) -> Sequence[str]:
        """Stream and subscription addresses in configuration order, as written.

        Of shared sockets the real name.
        """

    @property
    def active_sessions(self) -> int:
        """Open client connections."""

    @property
    def static_nodes(self) -> Iterable[StaticNode] | None:
        """The nodes of ``to``; None if none is configured."""

    @property
    def registry(self) -> Registry | None:
        """The table of announced nodes; None without a subscription server."""

    @property
    def cheap(self) -> bool:
        """True while the router does not accept because it has no node."""

    @property
    def counters(self) -> Counters:
        """What the engine counts."""

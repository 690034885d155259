"""Health checks of announced nodes: questions, intervals, thresholds (``subscription-check``)."""

from collections.abc import Collection
from dataclasses import dataclass

from uwsgi_router.protocol.subscription import Proto


@dataclass(frozen=True, slots=True)
class Checks:
    """The configured checks: a ping, a GET, or both, each for the nodes that understand it.

    Attributes:
        ping: uwsgi nodes are pinged.
        path: of HTTP nodes this is asked for; None: they are not checked.
        host: the Host of that; None: the node's key.
        statuses: the answers that are taken for success, each range with its last one.
        interval: seconds between two checks of a node.
        rise: so many successes in a row make an unhealthy node healthy.
        fall: so many failures in a row make it unhealthy.
        timeout: seconds for the whole of a check.
        first: a new node is used only once a check has succeeded.
    """

    ping: bool = False
    path: str | None = None
    host: str | None = None
    statuses: tuple[tuple[int, int], ...] = ((200, 399),)
    interval: float = 10.0
    rise: int = 2
    fall: int = 3
    timeout: float = 5.0
    first: bool = False

    @property
    def protocols(self) -> Collection[Proto]:
        """Nodes that speak one of these are checked."""
        found: list[Proto] = []
        if self.ping:
            found += ["uwsgi", "suwsgi"]
        if self.path is not None:
            found += ["http", "https"]
        return found

    @property
    def checked_first(self) -> Collection[Proto]:
        """Nodes that speak one of these are checked before they are used."""
        return self.protocols if self.first else ()

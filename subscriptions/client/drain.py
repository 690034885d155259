"""Drain of a withdrawn program: waits for its last requests before it is stopped."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from uwsgi_router.subscriptions.client.control import CannotAsk, drained

log = logging.getLogger("subscriptions.client")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Nodes that were withdrawn, and the number of routers that were told.

    Attributes:
        nodes: (key, address) of each node.
        routers: how many addresses of routers were told.
    """

    nodes: Sequence[tuple[str, str]]
    routers: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Drain policy: how long the program keeps serving after it was withdrawn.

    Attributes:
        limit: seconds after which nobody is waited for any longer.
        delay: seconds that are waited for routers that can't say when the node's last request has ended.
        control: control socket of the router that can say it; None: there is none.
    """

    limit: float = 8.0
    delay: float = 5.0
    control: str | None = None

    @property
    def seconds(self) -> float:
        """Seconds that are waited if no router can say more."""
        return min(self.limit, self.delay)

    @property
    def longest(self) -> float:
        """Seconds that are waited at most."""
        return self.seconds if self.control is None else self.limit

    def wait(self, withdrawn: Withdrawn) -> None:
        """Return when the node's requests have ended, as far as can be known. Blocks."""
        began = time.monotonic()
        if not self._ask(withdrawn):
            time.sleep(max(0.0, began + self.seconds - time.monotonic()))

    def _ask(self, withdrawn: Withdrawn) -> bool:
        """Let the router say when; False if that is not all that is to be waited for."""
        if self.control is None:
            return False
        try:
            in_time = drained(self.control, withdrawn.nodes, self.limit)
        except CannotAsk as exc:
            log.warning(
                "the router can't say when requests have ended (%s): %g s are waited",
                exc,
                self.seconds,
            )
            return False
        if not in_time:
            log.warning("requests are still under way after %g s", self.limit)
            return True
        log.info("the router says that all requests have ended")
        # One socket is one router; the others can't be asked.
        return withdrawn.routers <= 1

"""Event log: lines about announced nodes that come, go and change, limited in number, with a summary of the others."""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from uwsgi_router.protocol.text import show
from uwsgi_router.subscriptions.events import (
    Event,
    NodeAdded,
    NodeAnswers,
    NodeEjected,
    NodeFailed,
    NodeHealthy,
    NodeRefreshed,
    NodeUnhealthy,
    PoolAdded,
    PoolRemoved,
    SniChanged,
)

log = logging.getLogger("uwsgi-router.subscriptions")

_REASONS: Final = {
    "connect": "a connect failed",
    "stale": "it is stale",
}
# What a summary names, in this order.
_COUNTED: Final = (
    (NodeAdded, "new nodes"),
    (NodeFailed, "nodes marked as failed"),
    (PoolAdded, "new pools"),
    (PoolRemoved, "pools without nodes"),
)


class EventLog:
    """Log of what happens in a table: a burst of lines, then so many a second; the rest is summed up.

    Args:
        tolerance: seconds after which a node is stale, for the text.
        clock: seconds.
        burst: lines that are written at once.
        per_second: lines that are written in the long run.
        summary: seconds between two lines about what was left out.
    """

    def __init__(
        self,
        tolerance: float,
        clock: Callable[[], float],
        *,
        burst: int = 1_000,
        per_second: float = 10.0,
        summary: float = 10.0,
    ) -> None:
        self._tolerance = tolerance
        self._clock = clock
        self._burst = float(burst)
        self._per_second = per_second
        self._summary = summary
        self._left = self._burst
        self._since = clock()
        self._left_out: dict[type[Event], int] = {}
        self._summed_up = self._since

    def write(self, events: Iterable[Event]) -> None:
        """Log events, or count them."""
        for event in events:
            line = self._line(event)
            if line is None:
                continue
            if self._may_write():
                level, text, arguments = line
                log.log(level, text, *arguments)
            else:
                kind = type(event)
                self._left_out[kind] = self._left_out.get(kind, 0) + 1
        self.sum_up()

    def sum_up(self) -> None:
        """Log what was left out, unless that was done a moment ago; to be called now and then."""
        now = self._clock()
        if not self._left_out or now < self._summed_up + self._summary:
            return
        self._summed_up = now
        counts = [f"{self._left_out.pop(kind, 0)} {what}" for kind, what in _COUNTED]
        others = sum(self._left_out.values())
        self._left_out.clear()
        log.warning(
            "too much happens in the table to tell it all, left out: %s, %d others",
            ", ".join(counts),
            others,
        )

    def _may_write(self) -> bool:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._since) * self._per_second)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _line(self, event: Event) -> tuple[int, str, tuple[object, ...]] | None:
        """Return level, text and arguments of a line; None: the event has none."""
        info, warning = logging.INFO, logging.WARNING
        match event:
            case PoolAdded(key, algorithm):
                return info, "new pool %s (%s)", (show(key), algorithm)
            case PoolRemoved(key):
                return info, "[%s] no nodes left", (show(key),)
            case NodeAdded(key, node):
                text = "[%s] new node: %s (weight %d, backup %d)"
                return info, text, (show(key), node.name, node.weight, node.backup)
            case NodeFailed(key, node, "unsubscribe"):
                # Leaving in good order is no failure, and no reason to wake anybody.
                return info, "[%s] %s leaves: it unsubscribed", (show(key), node.name)
            case NodeRefreshed(key, node, revived=True):
                return info, "[%s] %s announces itself again", (show(key), node.name)
            case NodeFailed(key, node, reason):
                why = _REASONS[reason]
                if reason == "stale":
                    why += f", no announce for {self._tolerance:g} s"
                return warning, "[%s] marking %s as failed: %s", (show(key), node.name, why)
            case SniChanged(key, sni) if sni is not None:
                text = "[%s] its certificate is in %s; nothing here terminates TLS yet"
                return info, text, (show(key), show(sni.crt))
            case _:
                return _line_of_health(event)


def _line_of_health(event: Event) -> tuple[int, str, tuple[object, ...]] | None:
    info, warning = logging.INFO, logging.WARNING
    match event:
        case NodeUnhealthy(key, node, why):
            text = "[%s] %s is not used, its check fails: %s"
            return warning, text, (show(key), node.name, why)
        case NodeHealthy(key, node):
            return info, "[%s] %s is used, its check succeeds", (show(key), node.name)
        case NodeEjected(key, node, seconds):
            text = "[%s] %s is ejected for %g s: it failed %d requests in a row"
            return warning, text, (show(key), node.name, seconds, node.fails)
        case NodeAnswers(key, node):
            return info, "[%s] %s answers again", (show(key), node.name)
        case _:
            return None

"""Counters of a router as a flat mapping, so that several processes can add theirs up."""

from collections.abc import Mapping
from typing import Final

from uwsgi_router.router.report.counters import Counters

#: Attributes of :class:`Counters` that only grow.
COUNTED: Final = (
    "requests",
    "completed",
    "client_aborts",
    "retries",
    "retries_refused",
    "resent",
    "held",
    "queued",
    "spilled",
    "refused_packets",
    "refused_datagrams",
    "lost_datagrams",
    "idle_closed",
    "accept_errors",
    "handshakes_resumed",
)
#: Attributes of it that say how many there are now.
LEVELS: Final = ("holding", "queueing", "spooled_bytes")
_BYTES: Final = ("clients.tx", "clients.rx")
# Of counters by words: how the name of one word's begins, and the attribute.
_BY_WORD: Final = {
    "failed:": "failed",
    "refused:": "refused_connections",
    "handshakes:": "handshakes",
    "handshakes-failed:": "handshakes_failed",
}


def counted(counters: Counters) -> dict[str, int]:
    """Return what only grows, by name."""
    flat = {name: int(getattr(counters, name)) for name in COUNTED}
    flat["clients.tx"], flat["clients.rx"] = counters.clients.tx, counters.clients.rx
    for prefix, attribute in _BY_WORD.items():
        by_word: Mapping[str, int] = getattr(counters, attribute)
        flat |= {prefix + word: count for word, count in by_word.items()}
    return flat


def add(counters: Counters, counts: Mapping[str, int]) -> None:
    """Add what another process has counted; names of another version of this program are passed over."""
    before = counters.running
    for name, count in counts.items():
        if name in COUNTED:
            setattr(counters, name, getattr(counters, name) + count)
        elif name in _BYTES:
            direction = name.rpartition(".")[2]
            setattr(counters.clients, direction, getattr(counters.clients, direction) + count)
        else:
            kind, colon, word = name.partition(":")
            attribute = _BY_WORD.get(kind + colon)
            if attribute is not None:
                getattr(counters, attribute)[word] += count
    counters.elsewhere += counters.running - before

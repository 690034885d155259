"""Descriptors of this process: some are reserved for nodes, statistics and control; idle clients make room."""

import logging
import os
import resource
from collections.abc import Callable
from typing import Final

from uwsgi_router.router.core.log import RateLimited

log = logging.getLogger("uwsgi-router.accept")

# Of all descriptors, but no more than so many: when only these are left, no client gets one.
_SHARE: Final = 4
_MOST: Final = 1024
# The same, for what belongs neither to a client nor to its request: statistics, control, files, names.
_OTHERS_SHARE: Final = 8
_OTHERS_MOST: Final = 256
# Of all descriptors so many are freed at once: whoever looks for idle clients looks at all clients.
_BATCH: Final = 64
_UNLIMITED: Final = 1 << 30
#: Seconds between two lines.
QUIET: Final = 60.0


class Descriptors:
    """Descriptors of this process.

    The kernel gives each new one the lowest number that is free. So the number of an accepted socket tells how many
    there are, and nothing has to be counted.

    Args:
        limit: of open files; None: the process's, when this is made.

    Attributes:
        limit: see above.
        crowded: a client's socket with this number or a higher one took a reserved descriptor.
        pairs: clients that there may be at once if each has a request, and so a connection to a node.
    """

    def __init__(self, limit: int | None = None) -> None:
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
        self.limit = _UNLIMITED if soft == resource.RLIM_INFINITY else soft
        self.crowded = self.limit - min(self.limit // _SHARE, _MOST)
        self.pairs = (self.limit - min(self.limit // _OTHERS_SHARE, _OTHERS_MOST)) // 2
        self._closers: list[Callable[[int], int]] = []
        self._limited = RateLimited(log, per_second=1 / QUIET)

    def freed_by(self, close_idle: Callable[[int], int]) -> None:
        """Have ``close_idle`` called to close so many idle clients at most; it returns how many it closed."""
        self._closers.append(close_idle)

    @property
    def clients(self) -> int:
        """Clients that each router may have."""
        return self.pairs // max(1, len(self._closers))

    def make_room(self) -> bool:
        """Close the clients that were idle for longest; False if none is idle."""
        closed = sum(close_idle(1 + self.limit // _BATCH) for close_idle in self._closers)
        self._limited.warning(
            "crowded",
            "the limit of %d open files is near, and some are kept for nodes, stats and control: idle clients are"
            " closed, the oldest first, or new ones wait; raise LimitNOFILE= or ulimit -Hn",
            self.limit,
        )
        return closed > 0

    def find_room(self) -> bool:
        """Return True if a client would not take a reserved descriptor; otherwise close idle ones."""
        try:
            number = os.open("/", os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return self.make_room()
        os.close(number)
        return number < self.crowded or self.make_room()

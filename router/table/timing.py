"""Times and rates of a table of announced nodes that no option sets."""

from dataclasses import dataclass

from uwsgi_router.subscriptions.adverts import INTERVAL
from uwsgi_router.subscriptions.health import FIRST_EJECTION


@dataclass(frozen=True, slots=True)
class TableTiming:
    """Times in seconds.

    Attributes:
        sweep: between two looks for nodes that fell silent.
        settling: after the start: requests for keys that nobody has announced yet wait so long for their nodes, which
            announce themselves every 10 s.
        forget: between two looks for signatures that need no remembering any more.
        announce: between two announces of this router to others.
        tee: a datagram is sent on once within it: routers that send to each other would otherwise never stop, and
            whoever says the same again says nothing new.
        first_ejection: of a node; the next one is twice as long.
        save_soon: from a change to the next writing of the state file.
        save_again: between two writings at least.
        first_check: between the checks of a node that must pass one before it is used.
        checks_at_once: health checks under way at once.
        checks_a_second: health checks that begin in a second, in the long run.
        checks_in_a_row: that may follow at once after a delay.
    """

    sweep: float = 1.0
    settling: float = 10.0
    forget: float = 60.0
    announce: float = INTERVAL
    tee: float = 2.0
    first_ejection: float = FIRST_EJECTION
    save_soon: float = 1.0
    save_again: float = 10.0
    first_check: float = 1.0
    checks_at_once: int = 64
    checks_a_second: int = 1000
    checks_in_a_row: int = 50

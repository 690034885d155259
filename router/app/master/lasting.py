"""Children that may outlive their generation: routers for jails, and the Emperor, which takes a new configuration."""

import ctypes
import logging
import signal
from collections.abc import Iterable
from typing import Final

from uwsgi_router.router.app.master.children import Children
from uwsgi_router.router.app.master.generation import ChildProcess, Generation
from uwsgi_router.router.app.master.session_table import SessionTable
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.supervision.sessions import end_sessions

log = logging.getLogger("uwsgi-router.master")

#: Signals that are for the Emperor.
EMPERORS: Final = (signal.SIGURG, signal.SIGWINCH)
_PR_SET_CHILD_SUBREAPER: Final = 36
#: Name of the Emperor's process, for the log.
EMPEROR: Final = "the Emperor"


def adopt_orphans(configuration: Configuration) -> None:
    """Become the parent of what vassals leave behind (PR_SET_CHILD_SUBREAPER), if there is an Emperor."""
    ctypes.CDLL(None).prctl(
        _PR_SET_CHILD_SUBREAPER, int(bool(configuration.emperor.places)), 0, 0, 0
    )


def add_lasting(children: Children, before: Generation | None, generation: Generation) -> None:
    """Add routers for jails and the Emperor to a generation that starts: those of the one before, where that does.

    Args:
        children: makes them.
        before: serves now.
        generation: starts.
    """
    for place, name in enumerate(generation.configuration.jails):
        title = f"the {name} router"
        if not (before is not None and _same_jail(before, generation, title)):
            generation.children.append(children.make(generation, "jail", place, title))
    if generation.configuration.emperor.places:
        adopt_orphans(generation.configuration)
        kept = None if before is None else _running(before, EMPEROR)
        if kept is None:
            kept = children.make(generation, "emperor", 0, EMPEROR)
        generation.children.append(kept)


def _same_jail(before: Generation, generation: Generation, title: str) -> bool:
    """Let the process of a router for jails be the new generation's, if its options have not changed."""
    old, new = before.configuration, generation.configuration
    same = (old.process, old.forkpty, old.tuntap) == (new.process, new.forkpty, new.tuntap)
    found = _running(before, title) if same else None
    if found is None:
        return False
    generation.children.append(found)
    return True


def _running(generation: Generation, title: str) -> ChildProcess | None:
    """Return the only process of this name."""
    found = [child for child in generation.children if child.program.name == title]
    return found[0] if len(found) == 1 and found[0].program.pid else None


def take_over(generation: Generation) -> None:
    """Give kept children the configuration of the generation that serves now."""
    adopt_orphans(generation.configuration)
    for child in generation.children:
        if child.source is generation:
            continue
        old, child.source = child.source, generation
        if child.role == "emperor":
            was, now = old.configuration, generation.configuration
            changed = (was.process, was.emperor) != (now.process, now.emperor)
            child.tell(
                generation.descriptor, do="become", generation=generation.number, changed=changed
            )


def emperor_only(running: Iterable[ChildProcess]) -> bool:
    """Return True if the Emperor is all that runs."""
    return all(child.role == "emperor" for child in running)


def pass_on(number: int, running: Iterable[ChildProcess]) -> None:
    """Pass a signal on to the Emperor, if it runs."""
    for child in running:
        if child.role == "emperor":
            child.program.signal(signal.Signals(number))


def end_orphans(sessions: SessionTable) -> None:
    """End what an Emperor has left that has ended: the sessions of its vassals."""
    left = sessions.read()
    sessions.clear()
    if left:
        killed = end_sessions(left)
        if killed:
            log.error("%d processes of vassals that the Emperor has left are killed", killed)

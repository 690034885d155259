"""Registry of monitors: which one watches a place. Another sort is a file beside this one, and a line here."""

import glob
import os
from typing import Final

from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import EmperorConfig
from uwsgi_router.router.emperor.monitors.directory import DirectoryMonitor
from uwsgi_router.router.emperor.monitors.glob import GlobMonitor
from uwsgi_router.router.emperor.monitors.monitor import Monitor, PlaceMissing

#: The monitors that there are, by scheme.
MONITORS: Final[dict[str, type[Monitor]]] = {
    one.scheme: one for one in (DirectoryMonitor, GlobMonitor)
}
_DATABASE: Final = (
    "an Emperor that asks a database runs whatever is in it, and stands still with it: let a small program of yours"
    " write files into a directory"
)
_MESSAGES: Final = (
    "whoever reaches that socket or broker could run programs here, and what it said is gone after a restart: let a"
    " small program of yours write files into a directory"
)
#: Why there are no such monitors, which uWSGI has.
REFUSED: Final = {
    "pg": _DATABASE,
    "mongodb": _DATABASE,
    "zmq": _MESSAGES,
    "amqp": _MESSAGES,
}


def open_monitor(place: str, config: EmperorConfig, directory: str) -> Monitor:
    """Return the monitor of a place.

    Args:
        place: as the configuration names it: with a scheme, a directory, a file or a pattern.
        config: of the Emperor.
        directory: working directory of the Emperor, absolute.

    Raises:
        StartError: there is none for it; one line for the operator.
    """
    scheme, separator, rest = place.partition("://")
    if separator:
        if scheme in REFUSED:
            raise StartError(f"emperor = {scheme}://…: not here: {REFUSED[scheme]}")
        if scheme not in MONITORS:
            known = " or ".join(f"{one}://" for one in MONITORS)
            raise StartError(f"emperor = {place}: no monitor is called {scheme}: {known}")
        return MONITORS[scheme](rest, config, directory)
    path = os.path.join(directory, place)
    if os.path.isdir(path):
        return DirectoryMonitor(place, config, directory)
    matches = glob.glob(place, root_dir=directory) if glob.has_magic(place) else []
    if len(matches) == 1 and os.path.isdir(os.path.join(directory, matches[0])):
        return DirectoryMonitor(matches[0], config, directory)
    if not glob.has_magic(place) and not os.path.lexists(path):
        raise PlaceMissing(
            f"emperor = {place}: there is no such directory or file; for one that comes later write glob://{place}"
        )
    return GlobMonitor(place, config, directory)


def listing() -> str:
    """Return the sorts of places, a line each."""
    return "".join(f"{name}://  {one.summary}\n" for name, one in sorted(MONITORS.items()))

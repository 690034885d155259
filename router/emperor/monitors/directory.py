"""Monitor of a directory: each configuration file in it is a vassal."""

import os
from collections.abc import Sequence

from uwsgi_router.router.config.model import EmperorConfig
from uwsgi_router.router.emperor.monitors.monitor import Monitor, PlaceMissing
from uwsgi_router.router.emperor.names import is_valid
from uwsgi_router.router.emperor.vassal_file import VassalFile


class DirectoryMonitor(Monitor):
    """Monitor of a directory (uWSGI: core/emperor.c, ``uwsgi_imperial_monitor_directory``)."""

    scheme = "dir"
    summary = "each configuration file in a directory is a vassal"

    def __init__(self, place: str, config: EmperorConfig, directory: str) -> None:
        """Find the directory.

        Raises:
            PlaceMissing: it is not there.
        """
        path = os.path.realpath(os.path.join(directory, place))
        if not os.path.isdir(path):
            raise PlaceMissing(f"emperor = {place}: there is no such directory")
        super().__init__(path, config, directory)

    def watched(self) -> Sequence[str]:
        """Return the directory."""
        return [self.shown]

    def scan(self) -> list[VassalFile] | None:
        """Return the files in it; None if it can't be read: vassals stay as they are."""
        try:
            names = sorted(os.listdir(self.shown))
        except OSError as exc:
            self.looked(exc)
            return None
        self.looked()
        found = []
        for name in names:
            if is_valid(name, self.config.extra_extensions):
                file = self.look_at(name, os.path.join(self.shown, name), self.shown)
                if file is not None:
                    found.append(file)
        return found

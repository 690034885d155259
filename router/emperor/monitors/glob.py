"""Monitor of a pattern, or of one file: each configuration file that matches is a vassal."""

import glob
import os
from collections.abc import Sequence

from uwsgi_router.router.config.model import EmperorConfig
from uwsgi_router.router.emperor.monitors.monitor import Monitor
from uwsgi_router.router.emperor.names import is_valid
from uwsgi_router.router.emperor.vassal_file import VassalFile


class GlobMonitor(Monitor):
    """Monitor of a pattern (uWSGI: core/emperor.c, ``uwsgi_imperial_monitor_glob``)."""

    scheme = "glob"
    summary = "each configuration file that a pattern matches is a vassal; or one file"

    def __init__(self, place: str, config: EmperorConfig, directory: str) -> None:
        super().__init__(place, config, directory)

    def watched(self) -> Sequence[str]:
        """Return the directory of the pattern, if that is none itself."""
        head = os.path.dirname(os.path.join(self.directory, self.shown))
        return [] if glob.has_magic(head) else [head]

    def scan(self) -> list[VassalFile] | None:
        """Return the files that match."""
        found = []
        for name in sorted(glob.glob(self.shown, root_dir=self.directory)):
            if is_valid(name, self.config.extra_extensions):
                path = os.path.join(self.directory, name)
                file = self.look_at(name, path, self.directory)
                if file is not None:
                    found.append(file)
        return found

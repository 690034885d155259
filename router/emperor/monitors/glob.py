"""Monitor of a pattern, or of one file: each configuration file that matches is a vassal."""

import glob
import os
from collections.abc import Sequence

from uwsgi_router.router.emperor.monitors.monitor import Monitor
from uwsgi_router.router.emperor.names import is_valid
from uwsgi_router.router.emperor.vassal_file import VassalFile


class GlobMonitor(Monitor):
    """Monitor of a pattern (uWSGI: core/emperor.c, ``uwsgi_imperial_monitor_glob``)."""

    scheme = "glob"
    summary = "each configuration file that a pattern matches is a vassal; or one file"

    def watched(self) -> Sequence[str]:
        """Return the directory of the pattern, if that is none itself."""
        head = os.path.dirname(os.path.join(self.directory, self.shown))
        return [] if glob.has_magic(head) else [head]

    def scan(self) -> list[VassalFile] | None:
        """Return the files that match; None if that can't be found out: vassals stay as they are."""
        if not self._sees():
            return None
        found = []
        for name in sorted(glob.glob(self.shown, root_dir=self.directory)):
            if is_valid(name, self.config.extra_extensions):
                path = os.path.join(self.directory, name)
                file = self.look_at(name, path, self.directory)
                if file is not None:
                    found.append(file)
        return found

    def _sees(self) -> bool:
        """Return True if the pattern's directory can be read, or is not there; glob keeps quiet about that."""
        if not glob.has_magic(self.shown):
            return True
        parts = os.path.join(self.directory, self.shown).split(os.sep)[:-1]
        magic = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts))
        try:
            os.scandir(os.sep.join(parts[:magic]) or os.sep).close()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError as exc:
            self.looked(exc)
            return False
        self.looked()
        return True

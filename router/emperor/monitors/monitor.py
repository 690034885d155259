"""Monitor of a place: what all sorts of monitors have in common, and the look at one file."""

import logging
import os
import stat
from collections.abc import Sequence
from typing import ClassVar

from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import EmperorConfig
from uwsgi_router.router.emperor.path_links import resolve
from uwsgi_router.router.emperor.vassal_file import VassalFile

log = logging.getLogger("uwsgi-router.emperor")


class PlaceMissing(StartError):
    """Error: a place of vassals is not there."""


class Monitor:
    """Monitor of a place.

    Args:
        place: as the configuration names it, without the scheme.
        config: of the Emperor.
        directory: working directory of the Emperor, absolute.

    Attributes:
        shown: the place as statistics show it.
    """

    scheme: ClassVar[str]
    """Before ``://`` in the configuration."""
    summary: ClassVar[str]
    """One sentence for people."""

    def __init__(self, place: str, config: EmperorConfig, directory: str) -> None:
        self.config = config
        self.directory = directory
        self.shown = place
        self._complained = False

    def watched(self) -> Sequence[str]:
        """Return the directories in which something happens when a file comes, changes or goes."""
        return ()

    def scan(self) -> list[VassalFile] | None:
        """Return the files that are there, in the order of their names; None: that can't be said now."""
        raise NotImplementedError

    def looked(self, fault: OSError | None = None) -> None:
        """Note whether the place could be looked at; log it, once, if not.

        Args:
            fault: why not; None: it could.
        """
        if fault is not None and not self._complained:
            text = "%s can't be looked at, its vassals stay as they are: %s"
            log.error(text, self.shown, fault.strerror)
        self._complained = fault is not None

    def look_at(self, name: str, path: str, directory: str) -> VassalFile | None:
        """Return what there is to know about a file; None: it is none that can be run.

        Args:
            name: of the vassal.
            path: of the file, absolute.
            directory: working directory of the vassal.
        """
        nofollow, tyrant_nofollow = self.config.nofollow, self.config.tyrant_nofollow
        linked_by = -1
        try:
            found = os.lstat(path) if nofollow else os.stat(path)
            owner = os.lstat(path) if tyrant_nofollow else found
            if self.config.tyrant and not (nofollow or tyrant_nofollow):
                found, makers = resolve(path)
                owner = found
                linked_by = max(makers - {0, owner.st_uid}, default=-1)
        except OSError:
            return None
        regular = stat.S_ISREG(found.st_mode)
        if not (regular or (self.config.nofollow and stat.S_ISLNK(found.st_mode))):
            return None
        ids = owner.st_uid, owner.st_gid
        return VassalFile(
            name, directory, path, found.st_mtime_ns / 1e9, *ids, self.shown, linked_by
        )

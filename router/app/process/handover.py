"""Handover: files that root has opened, or will be written again, become those of the user that the process becomes."""

import logging
import os
from collections.abc import Iterable
from typing import Protocol

from uwsgi_router.router.app.process.environment import state_directory
from uwsgi_router.router.app.process.identity import ProcessIdentity
from uwsgi_router.router.core.files import give, place_of
from uwsgi_router.router.core.log import log_file

log = logging.getLogger("uwsgi-router.process")


class OpenFile(Protocol):
    """File that can be given to another user."""

    def give(self, uid: int, gid: int | None) -> None:
        """Give it to them."""


def hand_over(who: ProcessIdentity, access_logs: Iterable[OpenFile], state: str | None) -> None:
    """Give log files and the state file to the user that the process is about to become.

    Args:
        who: that user; nothing happens unless this is root, and will not be.
        access_logs: of the routers.
        state: path of the state file, or None. A directory that systemd made for it goes with it.
    """
    if os.geteuid() != 0 or not who.uid:
        return
    file = log_file()
    try:
        if file is not None:
            file.give(who.uid, who.gid)
        for access_log in access_logs:
            access_log.give(who.uid, who.gid)
    except OSError as exc:
        log.warning("a log file can't be given to user %d: %s", who.uid, exc.strerror)
    if state is not None:
        directory = os.path.dirname(os.path.abspath(state))
        if directory == state_directory(os.environ):
            _give(directory, who.uid, who.gid)
        _give(state, who.uid, who.gid)


def _give(path: str, uid: int, gid: int | None) -> None:
    try:
        with place_of(path) as (directory, name):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=directory)
        try:
            give(descriptor, uid, gid)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        pass
    except OSError as exc:
        log.warning("%s can't be given to user %d: %s", path, uid, exc.strerror)

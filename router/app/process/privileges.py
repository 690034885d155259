"""Privileges: change to an unprivileged user, once sockets, log and pid file are open."""

import logging
import os

from uwsgi_router.router.app.process.identity import ProcessIdentity
from uwsgi_router.router.config.errors import StartError

log = logging.getLogger("uwsgi-router.process")


def drop(wanted: ProcessIdentity) -> None:
    """Become ``wanted``; without root, say so and stay, as uWSGI does.

    Raises:
        StartError: if the system refuses.
    """
    if wanted.uid is None and wanted.gid is None and not wanted.groups:
        if os.geteuid() == 0:
            log.warning("running as root; set uid and gid")
        return
    if os.geteuid() != 0:
        if wanted.uid not in (None, os.geteuid()) or wanted.gid not in (None, os.getegid()):
            log.warning(
                "uid and gid are ignored: only root can change them (we are %d)", os.geteuid()
            )
        return
    try:
        # Groups first: without root's user they can't be changed any more.
        os.setgroups(wanted.groups)
        if wanted.gid is not None:
            os.setgid(wanted.gid)
        if wanted.uid is not None:
            os.setuid(wanted.uid)
    except OSError as exc:
        target = f"uid {wanted.uid}, gid {wanted.gid}"
        raise StartError(f"cannot change to {target}: {exc.strerror}") from exc
    log.info("running as uid %d, gid %d, groups %s", os.getuid(), os.getgid(), os.getgroups())
    if os.getuid() != 0 and os.getgid() == 0:
        log.warning("uid without gid: the process still has the group root")

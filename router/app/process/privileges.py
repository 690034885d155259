"""Privileges: change to an unprivileged user, once sockets, log and pid file are open."""

import ctypes
import logging
import os

from uwsgi_router.router.app.process.identity import ProcessIdentity
from uwsgi_router.router.config.errors import StartError

log = logging.getLogger("uwsgi-router.process")

_PR_SET_NO_NEW_PRIVS = 38


def drop(wanted: ProcessIdentity, *, quiet: bool = False, forever: bool = True) -> None:
    """Become ``wanted``; without root, say so and stay, as uWSGI does.

    Args:
        wanted: what to become.
        quiet: say nothing: another process of the same program does.
        forever: nothing that is run later may gain privileges.

    Raises:
        StartError: if the system refuses.
    """
    level = logging.DEBUG if quiet else logging.WARNING
    if wanted.uid is None and wanted.gid is None and not wanted.groups:
        if os.geteuid() == 0:
            log.log(
                level,
                "running as root, which nothing here needs: give uid = USER and gid = GROUP of a user without rights"
                " (www-data, say), or User= in the systemd unit; sockets and logs are opened before",
            )
        return
    if os.geteuid() != 0:
        if wanted.uid not in (None, os.geteuid()) or wanted.gid not in (None, os.getegid()):
            text = "uid and gid are ignored: only root can change them (we are %d)"
            log.log(level, text, os.geteuid())
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
    if forever:
        gain_no_privileges()
    if quiet:
        return
    log.info("running as uid %d, gid %d, groups %s", os.getuid(), os.getgid(), os.getgroups())
    if os.getuid() != 0 and os.getgid() == 0:
        log.warning("uid without gid: the process still has the group root")


def gain_no_privileges() -> None:
    """Keep this process and its children from gaining privileges by running a file (PR_SET_NO_NEW_PRIVS)."""
    # An older kernel, or a sandbox that refuses it, is no reason not to serve.
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

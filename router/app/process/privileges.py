"""Privileges: change to an unprivileged user, once sockets, log and pid file are open.

uWSGI changes to ``uid``/``gid`` first (core/utils.c) and in the gateway to ``fastrouter-uid/-gid``
(core/gateway.c), which fails unless the first was not given. We are one process with one identity:
the router's own options win, else the global ones.
"""

import ctypes
import grp
import logging
import os
import pwd
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig, RouterConfig

log = logging.getLogger("uwsgi-router.process")

_HIGHEST_ID = 2**32 - 1
_PR_SET_NO_NEW_PRIVS = 38


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """User and groups to become.

    Attributes:
        uid: None keeps the user.
        gid: None keeps the group.
        groups: supplementary groups; all others are dropped.
    """

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] = ()


def identity(process: ProcessConfig, routers: Sequence[RouterConfig]) -> ProcessIdentity:
    """Look up the user and groups that the configuration names.

    Raises:
        StartError: on an unknown user or group, or if routers ask for different ones.
    """
    users = [(f"{router.kind}-uid", router.uid) for router in routers]
    groups = [(f"{router.kind}-gid", router.gid) for router in routers]
    user = _only("uid", users) or ("uid", process.uid)
    group = _only("gid", groups) or ("gid", process.gid)
    return ProcessIdentity(
        uid=None if user[1] is None else _user(user[0], user[1]),
        gid=None if group[1] is None else _group(group[0], group[1]),
        groups=tuple(_group("add-gid", text) for text in process.additional_gids),
    )


def drop(wanted: ProcessIdentity) -> None:
    """Become ``wanted``; without root, say so and stay, as uWSGI does.

    Raises:
        StartError: if the system refuses.
    """
    if wanted.uid is None and wanted.gid is None and not wanted.groups:
        if os.geteuid() == 0:
            log.warning(
                "running as root, which nothing here needs: give uid = USER and gid = GROUP of a user without rights"
                " (www-data, say), or User= in the systemd unit; sockets and logs are opened before"
            )
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
    _gain_no_privileges()
    log.info("running as uid %d, gid %d, groups %s", os.getuid(), os.getgid(), os.getgroups())
    if os.getuid() != 0 and os.getgid() == 0:
        log.warning("uid without gid: the process still has the group root")


def _gain_no_privileges() -> None:
    """Keep this process and its children from gaining privileges by running a file (PR_SET_NO_NEW_PRIVS)."""
    # An older kernel, or a sandbox that refuses it, is no reason not to serve.
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _only(option: str, values: Iterable[tuple[str, str | None]]) -> tuple[str, str] | None:
    given = [(name, value) for name, value in values if value is not None]
    if len({value for _name, value in given}) > 1:
        asked = " and ".join(sorted({value for _name, value in given}))
        raise StartError(f"routers of one process cannot run as {asked}: give one {option}")
    return given[0] if given else None


def _user(option: str, text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _HIGHEST_ID:
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise StartError(f"{option} = {text}: no such user") from None


def _group(option: str, text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _HIGHEST_ID:
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise StartError(f"{option} = {text}: no such group") from None

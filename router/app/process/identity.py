"""Identity of the process: the user and groups that options name, looked up.

uWSGI changes to ``uid``/``gid`` first (core/utils.c) and in the gateway to ``fastrouter-uid/-gid``
(core/gateway.c), which fails unless the first was not given. We are one process with one identity:
the router's own options win, else the global ones.
"""

import grp
import pwd
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig, RouterConfig

_HIGHEST_ID = 2**32 - 1


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
        uid=None if user[1] is None else user_number(user[0], user[1]),
        gid=None if group[1] is None else _group(group[0], group[1]),
        groups=tuple(_group("add-gid", text) for text in process.additional_gids),
    )


def _only(option: str, values: Iterable[tuple[str, str | None]]) -> tuple[str, str] | None:
    given = [(name, value) for name, value in values if value is not None]
    if len({value for _name, value in given}) > 1:
        asked = " and ".join(sorted({value for _name, value in given}))
        raise StartError(f"routers of one process cannot run as {asked}: give one {option}")
    return given[0] if given else None


def user_number(option: str, text: str) -> int:
    """Look up a user that an option names.

    Raises:
        StartError: if there is none.
    """
    return _number(option, text, lambda: pwd.getpwnam(text).pw_uid, "user")


def _group(option: str, text: str) -> int:
    return _number(option, text, lambda: grp.getgrnam(text).gr_gid, "group")


def _number(option: str, text: str, look_up: Callable[[], int], kind: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _HIGHEST_ID:
        return int(text)
    try:
        return look_up()
    except KeyError:
        raise StartError(f"{option} = {text}: no such {kind}") from None

"""Rights of vassals: the owner of the file in tyrant mode, a limit of capabilities; what the Emperor needs for both."""

import os
from collections.abc import Collection
from typing import Final

from uwsgi_router.router.config.capability_values import CAPABILITIES
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.emperor import kernel
from uwsgi_router.router.emperor.vassal_file import VassalFile

_KEPT: Final = "setpcap"


def tyrant_fault(file: VassalFile) -> str | None:
    """Return why a file's owner can't be what its vassal runs as; None: it can."""
    if file.linked_by >= 0:
        return (
            f"[emperor-tyrant] {file.name} is a link that user {file.linked_by} has made to a file of user {file.uid}:"
            " who makes a link could have another file run as that user"
        )
    if file.uid and file.gid:
        return None
    whose = "user root" if not file.uid else "group root"
    return (
        f"[emperor-tyrant] invalid permissions for vassal {file.name}: its file belongs to {whose}"
    )


def check_emperor(config: EmperorConfig, privileges: frozenset[str] | None = None) -> None:
    """Make sure that this process may start vassals as configured.

    Args:
        config: the Emperor's.
        privileges: names of the capabilities in effect; None: of this process.

    Raises:
        StartError: it may not; ``str()`` says what is missing.
    """
    has = effective_capabilities() if privileges is None else privileges
    needed: list[tuple[str, str]] = []
    if config.tyrant:
        needed += [("emperor-tyrant", "setuid"), ("emperor-tyrant", "setgid")]
    if config.capabilities:
        needed.append(("emperor-cap", _KEPT))
    if config.use_clone and "user" not in config.use_clone:
        needed.append(("emperor-use-clone", "sys_admin"))
    for option, capability in needed:
        if capability not in has:
            hint = " (or user among the namespaces)" if option == "emperor-use-clone" else ""
            raise StartError(
                f"{option} needs root, or CAP_{capability.upper()} (AmbientCapabilities= of a systemd unit){hint}"
            )


def effective_capabilities() -> frozenset[str]:
    """Return the names of this process's capabilities in effect."""
    # No text: whoever has changed its user may not be able to read Python's codecs any more.
    with open("/proc/self/status", "rb") as file:
        line = next((one for one in file if one.startswith(b"CapEff:")), b"CapEff: 0")
    bits = int(line.split()[1], 16)
    return frozenset(name for number, name in enumerate(CAPABILITIES) if bits >> number & 1)


def limit_capabilities(names: Collection[str]) -> None:
    """Give up all capabilities but these, for whatever is executed from here.

    Raises:
        OSError: the system refuses.
    """
    kept = {CAPABILITIES.index(name) for name in (*names, _KEPT)}
    number = 0
    # The kernel may know more of them than we do.
    while number < len(CAPABILITIES) or kernel.has_bounding_capability(number):
        if number not in kept and kernel.has_bounding_capability(number):
            kernel.drop_bounding_capability(number)
        number += 1


def become(uid: int, gid: int, *, groups: bool = True) -> None:
    """Change to a user and a group for good.

    Args:
        uid: of the user.
        gid: of the group.
        groups: give up all further groups.

    Raises:
        OSError: the system refuses.
    """
    os.setgid(gid)
    if groups:
        os.setgroups([])
    os.setuid(uid)
    # Between users that are not root's no capability is lost by itself.
    kernel.clear_ambient_capabilities()

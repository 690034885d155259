"""Namespaces of a vassal (``emperor-use-clone``): made with the process, so that the Emperor knows its id."""

import os
import signal
from collections.abc import Callable, Collection
from typing import Final

from uwsgi_router.router.emperor import kernel
from uwsgi_router.router.emperor.identity import effective_capabilities

# From <linux/sched.h>, by the words of ``emperor-use-clone``.
_FLAGS: Final = {
    "fs": 0x00020000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_MS_SLAVE: Final = 1 << 19
_MS_REC: Final = 16384


def flags_of(names: Collection[str]) -> int:
    """Return clone's flags for namespaces."""
    flags = 0
    for name in names:
        flags |= _FLAGS[name]
    return flags


def forking_into(names: Collection[str]) -> Callable[[], int]:
    """Return a function like ``os.fork`` whose child has namespaces of its own."""
    if not names:
        return os.fork
    flags = flags_of(names)
    return lambda: kernel.clone(flags, signal.SIGCHLD)


def map_user(pid: int, uid: int, gid: int) -> None:
    """Let user and group 0 of a process's new user namespace be ``uid`` and ``gid`` outside; it has no others.

    Without root's rights these can only be our own, and the process keeps the groups that it has.

    Raises:
        OSError: the system refuses.
    """
    if "setgid" not in effective_capabilities():
        _write(pid, "setgroups", "deny")
    _write(pid, "gid_map", f"0 {gid} 1\n")
    _write(pid, "uid_map", f"0 {uid} 1\n")


def _write(pid: int, name: str, text: str) -> None:
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def keep_mounts_inside() -> None:
    """Let what is mounted in this process's new mount namespace stay there; what the host mounts still arrives.

    Raises:
        OSError: the system refuses.
    """
    kernel.mount(None, "/", None, _MS_REC | _MS_SLAVE, None)

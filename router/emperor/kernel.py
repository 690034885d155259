"""System calls that Python has no function for: prctl, clone3, mount, umount2."""

import ctypes
import os
from typing import Final

# From <sys/prctl.h>.
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
#: One number on all architectures.
_SYS_CLONE3: Final = 435

# It keeps the interpreter's lock: nothing but us may run between clone3 and its return in the child.
_libc: Final = ctypes.PyDLL(None, use_errno=True)


class _CloneArguments(ctypes.Structure):
    """Arguments of clone3, in its first version (<linux/sched.h>)."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
        )
    )


def clone(flags: int, exit_signal: int) -> int:
    """Fork into new namespaces; return the child's id, which is 0 in the child; where there are no threads.

    The C library learns nothing of it: with other threads its ``setuid`` would wait for them in the child for ever.

    Args:
        flags: ``CLONE_NEW…``.
        exit_signal: sent to the parent at the end.

    Raises:
        OSError: the system refuses.
    """
    arguments = _CloneArguments(flags=flags, exit_signal=exit_signal)
    size = ctypes.sizeof(arguments)
    return _checked(_libc.syscall(_SYS_CLONE3, ctypes.byref(arguments), ctypes.c_size_t(size)))


def set_parent_death_signal(number: int) -> None:
    """Ask for a signal at the death of the parent; a change of user, and no fork, forgets it."""
    _prctl(_PR_SET_PDEATHSIG, number)


def make_dumpable() -> None:
    """Give this process's files in /proc to its user, who may not be who started the program."""
    _prctl(_PR_SET_DUMPABLE, 1)


def has_bounding_capability(number: int) -> bool:
    """Return True if this process may ever get a capability; False also for one that the system does not know."""
    return bool(_libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1)


def drop_bounding_capability(number: int) -> None:
    """Give up a capability, for us and whatever we execute.

    Raises:
        OSError: the system refuses.
    """
    _prctl(_PR_CAPBSET_DROP, number)


def clear_ambient_capabilities() -> None:
    """Let no capability pass over an exec by itself.

    Raises:
        OSError: the system refuses.
    """
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None) -> None:
    """Mount a file system (mount(2)).

    Raises:
        OSError: the system refuses.
    """
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    flags_long = ctypes.c_ulong(flags)
    _checked(_libc.mount(texts[0], texts[1], texts[2], flags_long, texts[3]))


def umount(target: str, flags: int) -> None:
    """Unmount what is mounted at a path (umount2(2)).

    Raises:
        OSError: the system refuses.
    """
    _checked(_libc.umount2(os.fsencode(target), flags))


def _prctl(operation: int, argument: int) -> None:
    _checked(
        _libc.prctl(
            operation,
            ctypes.c_ulong(argument),
            ctypes.c_ulong(0),
            ctypes.c_ulong(0),
            ctypes.c_ulong(0),
        )
    )


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result

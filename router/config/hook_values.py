"""Readers of hooks: ``ACTION:ARGUMENTS``, mounts, commands (uWSGI: core/hooks.c, core/mount.c)."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from uwsgi_router.router.config.values import LISTEN, Kind

# From <linux/mount.h>, by uWSGI's words.
_READ_ONLY: Final = 1
_RECURSIVE: Final = 16384
MOUNT_FLAGS: Final[Mapping[str, int]] = {
    "ro": _READ_ONLY,
    "rdonly": _READ_ONLY,
    "readonly": _READ_ONLY,
    "nosuid": 2,
    "nodev": 4,
    "noexec": 8,
    "sync": 16,
    "remount": 32,
    "mandlock": 64,
    "dirsync": 128,
    "noatime": 1024,
    "bind": 4096,
    "move": 8192,
    "rec": _RECURSIVE,
    "recursive": _RECURSIVE,
    "private": 1 << 18,
    "slave": 1 << 19,
    "shared": 1 << 20,
}
#: From <sys/mount.h>; ``rec`` is done by us, a mount after the other.
UMOUNT_FLAGS: Final[Mapping[str, int]] = {
    "force": 1,
    "detach": 2,
    "rec": _RECURSIVE,
    "recursive": _RECURSIVE,
}
RECURSIVE: Final = _RECURSIVE

_SAME: Final = {"cd": "chdir", "creat": "create", "log": "print"}
_NEVER: Final = {
    **dict.fromkeys(
        ("call", "callret", "callint", "callintret", "unix_signal"),
        "names a C function of uWSGI's binary; exec: runs a command",
    ),
    **dict.fromkeys(("rpc", "retryrpc"), "calls uWSGI's RPC; exec: runs a command"),
    "alarm": "needs uWSGI's alarms; exec: runs a command",
}


@dataclass(frozen=True, slots=True)
class Hook:
    """Hook: something that is done when a vassal starts.

    Attributes:
        action: its name; of several names for one action, the first.
        argument: what follows it, as written.
        private: the argument is not logged.
    """

    action: str
    argument: str
    private: bool = False

    def __str__(self) -> str:
        if self.private:
            return f"!{self.action}:..."
        return f"{self.action}:{self.argument}"


@dataclass(frozen=True, slots=True)
class Mount:
    """Mount: a file system and where it goes.

    Attributes:
        kind: of file system; ``none`` for a bind mount.
        source: what is mounted.
        target: where.
        flags: see :data:`MOUNT_FLAGS`.
        data: options of the file system; None: it gets none.
    """

    kind: str
    source: str
    target: str
    flags: int = 0
    data: str | None = None


def read_hook(text: str) -> Hook:
    """Read ``ACTION:ARGUMENTS``; a ``!`` before it hides the arguments in logs.

    Raises:
        ValueError: with what was expected.
    """
    private = text.startswith("!")
    name, colon, argument = text.removeprefix("!").partition(":")
    if not colon:
        raise ValueError("expected ACTION:ARGUMENTS, for example exec:/usr/local/bin/prepare")
    if name in _NEVER:
        raise ValueError(f"{name}: can't be done here: it {_NEVER[name]}")
    name = _SAME.get(name, name)
    check = _CHECKS.get(name)
    if check is None:
        raise ValueError(f"expected an action, one of {', '.join(sorted(_CHECKS))}, not {name}")
    check(argument)
    return Hook(name, argument, private)


def read_mount(text: str) -> Mount:
    """Read ``TYPE SOURCE TARGET [FLAG,…] [DATA]``.

    Raises:
        ValueError: with what was expected.
    """
    words = text.split(" ", 4)
    if len(words) < 3 or not all(words[:3]):
        raise ValueError("expected TYPE SOURCE TARGET [FLAG,...] [DATA], separated by one blank")
    flags = _flags(words[3], MOUNT_FLAGS) if len(words) > 3 else 0
    return Mount(words[0], words[1], words[2], flags, words[4] if len(words) > 4 else None)


def read_umount(text: str) -> tuple[str, int]:
    """Read ``TARGET [FLAG,…]``; return the target and the flags, see :data:`UMOUNT_FLAGS`.

    Raises:
        ValueError: with what was expected.
    """
    target, _, flags = text.partition(" ")
    if not target:
        raise ValueError("expected TARGET [FLAG,...], separated by one blank")
    return target, _flags(flags, UMOUNT_FLAGS) if flags else 0


def _flags(text: str, known: Mapping[str, int]) -> int:
    flags = 0
    for word in filter(None, text.split(",")):
        if word not in known:
            raise ValueError(f"expected flags, of {', '.join(sorted(known))}, not {word}")
        flags |= known[word]
    return flags


# --- arguments of actions ---


def _something(argument: str) -> None:
    if not argument:
        raise ValueError("expected an argument behind the colon")


def _anything(_argument: str) -> None:
    pass


def _assignment(argument: str) -> None:
    if "=" not in argument[1:]:
        raise ValueError("expected putenv:NAME=VALUE")


def _file_and_text(argument: str) -> None:
    file, blank, _ = argument.partition(" ")
    if not file or not blank:
        raise ValueError("expected FILE TEXT behind the colon, separated by one blank")


def _file_and_mode(argument: str) -> None:
    file, _, mode = argument.partition(" ")
    if not file or not (1 <= len(mode) <= 4 and all(c in "01234567" for c in mode)):
        raise ValueError("expected chmod:FILE MODE, with an octal mode")


def _file_and_owner(argument: str) -> None:
    if len(_words(argument)) != 3:
        raise ValueError("expected chown:FILE USER GROUP")


def _file_and_numbers(argument: str) -> None:
    words = _words(argument)
    if len(words) != 3 or not all(word.isascii() and word.isdigit() for word in words[1:]):
        raise ValueError("expected chown2:FILE UID GID, with numbers")


def _words(argument: str) -> list[str]:
    return [word for word in argument.split(" ", 2) if word]


def _status(argument: str) -> None:
    number = argument.isascii() and argument.isdigit() and len(argument) <= 3
    if argument and not (number and int(argument) <= 255):
        raise ValueError("expected exit:STATUS, from 0 to 255")


def _address(argument: str) -> None:
    LISTEN.parse(argument)


_CHECKS: Final[Mapping[str, Callable[[str], object]]] = {
    "append": _file_and_text,
    "appendn": _something,
    "chdir": _something,
    "chmod": _file_and_mode,
    "chown": _file_and_owner,
    "chown2": _file_and_numbers,
    "create": _something,
    "exec": _something,
    "exit": _status,
    "hostname": _something,
    "mkdir": _something,
    "mount": read_mount,
    "print": _anything,
    "putenv": _assignment,
    "safeexec": _something,
    "spinningfifo": _file_and_text,
    "sticky": _something,
    "umount": read_umount,
    "unlink": _something,
    "wait_for_dir": _something,
    "wait_for_file": _something,
    "wait_for_fs": _something,
    "wait_for_socket": _address,
    "write": _file_and_text,
    "writefifo": _file_and_text,
    "writen": _file_and_text,
}


def _mount_hook(text: str) -> Hook:
    read_mount(text)
    return Hook("mount", text)


def _umount_hook(text: str) -> Hook:
    read_umount(text)
    return Hook("umount", text)


def _command_hook(text: str) -> Hook:
    _something(text)
    return Hook("exec", text)


def _program(text: str) -> str:
    program = text.strip()
    if not program:
        raise ValueError("expected a program")
    if program.split()[0] != program and not os.path.exists(program):
        raise ValueError(
            "expected a program alone: it gets the vassal's name and nothing else, and no shell runs it"
        )
    return program


HOOK: Final = Kind("ACTION:ARGS", read_hook)
MOUNT: Final = Kind("TYPE SOURCE TARGET [FLAGS [DATA]]", _mount_hook)
UMOUNT: Final = Kind("TARGET [FLAGS]", _umount_hook)
COMMAND: Final = Kind("COMMAND", _command_hook)
PROGRAM: Final = Kind("PROGRAM", _program)

"""Bytes on the pipe between an Emperor and a vassal, each a message (uWSGI: core/emperor.c)."""

import enum
import hashlib
from typing import Final

#: Variable with the number of the vassal's end of the pipe.
VARIABLE: Final = "UWSGI_EMPEROR_FD"

#: Variable that is there if the vassal has a network namespace of its own.
OWN_NETWORK: Final = "_UWSGI_ROUTER_OWN_NETWORK"

#: Below the directory that routers and their Emperor share: a datagram socket for keys that requests wait for, and a
#: directory with a file for each key of a vassal that is started on demand.
WANTED: Final = "wanted"
ON_DEMAND: Final = "on-demand"

#: Exit status of a vassal that could not be executed, or wants to be left alone for a while.
EXILE: Final = 26


class EmperorByte(enum.IntEnum):
    """Byte from an Emperor to its vassal."""

    STOP = 0
    """End at once."""
    RELOAD = 1
    """Take new configuration and code; running requests finish."""
    STOP_GRACEFULLY = 2
    """End once running requests have finished."""


class VassalByte(enum.IntEnum):
    """Byte from a vassal to its Emperor; all others mean nothing."""

    SPAWNED = 1
    """It was started, and has loaded its application. A reload does not say so again."""
    CONFIGURATION = 2
    """It asks for its configuration over a second pipe; only vassals without a file do."""
    ACCEPTING = 5
    """It takes requests, after a start or a reload."""
    LOYAL = 17
    """It has answered a request."""
    STOP = 22
    """It wants to be stopped: nobody has asked it for anything for a while."""
    HEARTBEAT = 26
    """It turns; the first one makes the Emperor expect more."""
    REINFORCEMENTS = 30
    """All of its workers are busy."""


def file_name_of(key: bytes) -> str:
    """Return the name of the file that stands for a key, whatever bytes that has."""
    return hashlib.sha256(key).hexdigest()[:40]

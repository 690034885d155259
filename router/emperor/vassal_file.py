"""Configuration file of a vassal, as a monitor has seen it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VassalFile:
    """Configuration file of a vassal.

    Attributes:
        name: unique; the bare name of a file in a directory, the whole path if a pattern has matched it.
        directory: working directory of the vassal, absolute.
        path: of the file, absolute; links are not resolved.
        mtime: when it was changed, in seconds of the wall clock; of the link itself with ``emperor-nofollow``.
        uid: its owner; the link's with ``emperor-tyrant-nofollow``.
        gid: its group; likewise.
        monitor: the place that it was found in, as statistics show it.
        linked_by: with ``emperor-tyrant``, another user than its owner and root who has made a link on its way; -1:
            nobody.
    """

    name: str
    directory: str
    path: str
    mtime: float
    uid: int
    gid: int
    monitor: str
    linked_by: int = -1


class VassalRefused(Exception):
    """Error for a file that is not run until it changes, or its owner does; ``str()`` is the line for the operator."""

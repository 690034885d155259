"""Grants: what an admitted sender may own in the table, and its quota."""

from dataclasses import dataclass
from typing import Final

from uwsgi_router.subscriptions.sender import Credentials


@dataclass(frozen=True, slots=True)
class Quota:
    """Quota of one owner: how much of the table it may fill.

    Attributes:
        max_keys: keys with a node of theirs.
        max_nodes: nodes.
    """

    max_keys: int
    max_nodes: int


@dataclass(frozen=True, slots=True)
class Grant:
    """Grant to a sender whose datagram may be obeyed.

    Attributes:
        credentials: its process, to be shown.
        owner: the user whose node it is: nobody else may change it. None: the nodes of all who
            passed the same checks.
        socket_owner: the user to whom the node's UNIX socket must belong; None: to anybody.
        quota: how much of the table its owner may fill; None: all of it.
    """

    credentials: Credentials | None = None
    owner: int | None = None
    socket_owner: int | None = None
    quota: Quota | None = None


#: For a table without secrets: everybody may do everything, but for what nobody may.
ANYBODY: Final = Grant()

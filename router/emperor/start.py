"""Start of a vassal with all that the Emperor has of it: pipe, output, pidfd; or with nothing left if that fails."""

import os
import socket

from uwsgi_router.router.emperor.child import start_vassal
from uwsgi_router.router.emperor.command import VassalLaunch
from uwsgi_router.router.emperor.output import VassalOutput
from uwsgi_router.router.supervision.process import watched


def start_watched(
    launch: VassalLaunch, stdin: int | None, output: VassalOutput
) -> tuple[int, int, socket.socket]:
    """Start a process; return its id, its pidfd, and our end of its pipe.

    Args:
        launch: what it is made of.
        stdin: see :func:`start_vassal`.
        output: reads what it writes.

    Raises:
        OSError: there is no process, and nothing is left of the attempt.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            writing = output.open()
            try:
                pid = start_vassal(launch, theirs.fileno(), stdin, writing)
            finally:
                os.close(writing)
            return pid, watched(pid), ours
        except OSError:
            ours.close()
            raise

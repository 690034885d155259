"""Routers and devices of a jail beside applications: a child process where no router of the file would have them."""

import logging
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from uwsgi_router.router.app.process.own_program import own_program
from uwsgi_router.subscriptions.application.backoff import RestartDelay
from uwsgi_router.subscriptions.application.supervisor import Supervision
from uwsgi_router.subscriptions.client.starting import end_with_us

log = logging.getLogger("uwsgi-router.serve")

# Seconds that it has to end, once the copies have.
_MERCY: Final = 3.0


class JailRouters:
    """Process with the routers and devices of a jail; a part of the supervisor's loop.

    It starts with the copies, starts again when it ends, and stops behind the last of them: until then they have their
    network.

    Args:
        arguments: of its command line.
        environ: its environment.
        directory: private, for a file that is read last.
        control_socket: of the supervisor, if the arguments name it.
        pidfile: likewise.
        delay: before it starts again.
        clock: seconds that don't jump.
    """

    _supervision: Supervision

    def __init__(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        directory: str,
        *,
        control_socket: str | None = None,
        pidfile: str | None = None,
        delay: RestartDelay | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        path = os.path.join(directory, "jails.ini")
        # What the arguments name is the supervisor's.
        lines = ["[uwsgi]"]
        if control_socket is not None:
            lines.append(f"control-socket = {os.path.join(directory, 'jails-control')}")
        if pidfile is not None:
            lines.append(f"pidfile = {os.path.join(directory, 'jails.pid')}")
        with open(path, "w", errors="surrogateescape") as file:
            file.write("\n".join(lines) + "\n")
        self._argv = [*own_program(), "--no-apps", *arguments, path]
        self._environ = {name: environ[name] for name in environ if name != "NOTIFY_SOCKET"}
        self._delay = delay or RestartDelay()
        self._clock = clock
        self._started_at = 0.0
        # The process; -1: none runs.
        self._pidfd = -1

    def start(self, supervision: Supervision) -> None:
        """Start the process as soon as the loop runs, and whenever it has ended."""
        self._supervision = supervision
        supervision.look(self._look)

    def reload(self) -> None:
        """Have the process read its files again."""
        if self._pidfd >= 0:
            signal.pidfd_send_signal(self._pidfd, signal.SIGHUP)

    def close(self) -> None:
        """Stop the process; it is killed if it does not end soon."""
        if self._pidfd < 0:
            return
        signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(_MERCY * 1000):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._pidfd)
        self._pidfd = -1

    def _look(self) -> None:
        now = self._clock()
        if self._pidfd >= 0 or now < self._delay.not_before:
            return
        popen = subprocess.Popen(  # noqa: S603
            self._argv,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            # Ctrl-C in a terminal reaches the supervisor alone.
            process_group=0,
            preexec_fn=end_with_us,  # noqa: PLW1509 - one system call, looked up beforehand
        )
        self._pidfd, self._started_at = os.pidfd_open(popen.pid), now
        # The supervisor reaps it.
        popen.returncode = 0
        self._supervision.watch(self._pidfd, self._ended)

    def _ended(self) -> None:
        self._supervision.unwatch(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        now = self._clock()
        delay = self._delay.ended(now, now - self._started_at)
        text = "the routers and devices of the jail have ended; they start again in %.1f s"
        log.error(text, max(delay, 0.0))

"""Router's process below the supervisor: start, readiness, restart with back-off, stop."""

import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from uwsgi_router.subscriptions.application.backoff import RestartDelay
from uwsgi_router.subscriptions.client.ends import in_words
from uwsgi_router.subscriptions.client.starting import end_with_us

log = logging.getLogger("uwsgi-router.serve")

_DATAGRAM: Final = 4096
_TERM: Final = int(signal.SIGTERM)


class RouterProcess:
    """Router as a child process; it shares our standard output and error.

    Args:
        arguments: its command.
        environ: its environment.
        directory: private, for the socket on which it says that it is ready.
        ready: called each time it has begun to serve.
        delay: before restarts.
        inherits: descriptors that it holds open, too.

    Attributes:
        pid: of the process; 0: none runs.
        was_ready: it has served.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        directory: str,
        ready: Callable[[], None],
        delay: RestartDelay | None = None,
        inherits: Sequence[int] = (),
    ) -> None:
        self.pid = 0
        self.was_ready = False
        self.is_ready = False
        self._reloads = 0
        self.code: int | None = None
        self._arguments = arguments
        self._ready = ready
        self._delay = delay or RestartDelay()
        self._inherits = inherits
        self._ready_at = 0.0
        self._stopping = False
        path = os.path.join(directory, "notify")
        self._environ = {**environ, "NOTIFY_SOCKET": path}
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.setblocking(False)
        self._notified.bind(path)
        # The router may have become somebody else.
        os.chmod(path, 0o666)  # noqa: S103

    def fileno(self) -> int:
        """Return the descriptor of the socket on which it says that it is ready."""
        return self._notified.fileno()

    def due(self) -> float | None:
        """Return when it is to be started; None: it runs, or is to stop."""
        done = self.pid or self._stopping or self.code is not None
        return None if done else self._delay.not_before

    def tick(self, now: float) -> None:
        """Start it, if that is due."""
        due = self.due()
        if due is None or due > now:
            return
        popen = subprocess.Popen(  # noqa: S603
            self._arguments,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            pass_fds=self._inherits,
            # Ctrl-C in a terminal reaches us alone.
            process_group=0,
            preexec_fn=end_with_us,  # noqa: PLW1509 - one system call, looked up beforehand
        )
        self.pid, self.is_ready, self._reloads = popen.pid, False, 0
        # Others reap it.
        popen.returncode = 0

    def read(self, now: float) -> None:
        """Take note of what it says."""
        while True:
            try:
                data = self._notified.recv(_DATAGRAM)
            except OSError:
                return
            if b"READY=1" in data.splitlines():
                self._reloads = max(0, self._reloads - 1)
                self.was_ready = self.is_ready = True
                self._ready_at = now
                self._ready()

    def ended(self, code: int, now: float) -> None:
        """Take note that it has ended.

        Args:
            code: as of ``waitstatus_to_exitcode``.
            now: the time.
        """
        self.pid = 0
        served = now - self._ready_at if self.is_ready else None
        self.is_ready = False
        if self._stopping or not self.was_ready:
            self.code = code if code >= 0 else 128 - code
            return
        delay = self._delay.ended(now, served)
        log.error("the router %s; it starts again in %.1f s", in_words(code), delay)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self.pid:
            os.kill(self.pid, number)

    def reload(self) -> None:
        """Have it read its files again; if it does so already, another time after that."""
        self._reloads = min(self._reloads + 1, 2)
        self.signal(signal.SIGHUP)

    @property
    def has_reloaded(self) -> bool:
        """True once it serves by its files as they were at the last :meth:`reload`; never if they were refused."""
        return not self._reloads

    def stop(self, number: int = _TERM) -> None:
        """Have it stop; TERM lets requests finish."""
        self._stopping = True
        if self.pid:
            os.kill(self.pid, number)
        elif self.code is None:
            self.code = 0

    def close(self) -> None:
        """Close the socket."""
        self._notified.close()

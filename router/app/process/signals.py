"""Signal handlers of the process: graceful stop, immediate stop, log reopening.

| signal         | effect                                                         |
|----------------|----------------------------------------------------------------|
| TERM           | graceful stop; uWSGI reloads here unless told otherwise         |
| INT, QUIT      | stop at once                                                   |
| a second one   | stop at once; a third one ends the process without tidying up   |
| USR1           | log files are opened again (logrotate)                         |
| HUP            | the same: without a master process nothing is reloaded         |
| USR2           | one log line: it has no effect                                 |
| PIPE           | ignored: a broken connection is an error of its send            |
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

log = logging.getLogger("uwsgi-router.signals")

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_REOPENING = (signal.SIGHUP, signal.SIGUSR1)
_ALSO = {signal.SIGHUP: "; without a master process nothing is reloaded"}
_WITHOUT_EFFECT = (signal.SIGUSR2,)


class Signals:
    """Handlers that turn signals into calls, from :meth:`install` to :meth:`remove`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        graceful: Callable[[], None],
        immediate: Callable[[], None],
        reopen: Callable[[], None] = lambda: None,
        force: Callable[[int], None] = os._exit,
    ) -> None:
        """Prepare.

        Args:
            loop: the loop of the main thread.
            graceful: called at most once: stop accepting, finish what runs.
            immediate: called at most once, maybe after ``graceful``: stop now.
            reopen: called each time: open log files again.
            force: ends the process when even that takes too long; is given the exit status.
        """
        self._loop = loop
        self._graceful = graceful
        self._immediate = immediate
        self._reopen = reopen
        self._force = force
        self._previous: dict[signal.Signals, Any] = {}
        self._received = 0
        self._at_once = False

    def install(self) -> None:
        """Take over the signals."""
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for number in _STOPPING:
            self._previous[number] = signal.getsignal(number)
            self._loop.add_signal_handler(number, self._stop, number)
        for number in _REOPENING:
            self._loop.add_signal_handler(number, self._open_again, number)
        for number in _WITHOUT_EFFECT:
            self._loop.add_signal_handler(number, self._tell, number)

    def remove(self) -> None:
        """Give the signals their defaults back, and those that stop the handlers that they had."""
        for number in (*_STOPPING, *_REOPENING, *_WITHOUT_EFFECT):
            self._loop.remove_signal_handler(number)
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _stop(self, number: signal.Signals) -> None:
        self._received += 1
        if self._at_once:
            log.warning("%s: forced", number.name)
            self._force(1)
        elif number == signal.SIGTERM and self._received == 1:
            log.info("SIGTERM: finishing the requests under way; a second signal stops at once")
            self._graceful()
        else:
            log.info("%s: stopping at once", number.name)
            self._at_once = True
            self._immediate()

    def _open_again(self, number: signal.Signals) -> None:
        log.info("%s: log files are opened again%s", number.name, _ALSO.get(number, ""))
        self._reopen()

    def _tell(self, number: signal.Signals) -> None:
        log.info("%s: nothing changes", number.name)

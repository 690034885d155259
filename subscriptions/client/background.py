"""Background thread of announces."""

import selectors
import socket
import threading
import time

from uwsgi_router.subscriptions.client.announcer import Announcer
from uwsgi_router.subscriptions.client.schedule import Schedule


class AnnouncingThread(threading.Thread):
    """Thread that announces until it is stopped, and logs what routers answer.

    Args:
        announcer: whose first round is done.
        schedule: when the others are due.
        well: what the first round returned.
    """

    def __init__(self, announcer: Announcer, schedule: Schedule, *, well: bool) -> None:
        super().__init__(name="subscribe", daemon=True)
        self._announcer = announcer
        self._schedule = schedule
        self._due = time.monotonic() + schedule.after(well=well)
        self._stopped, self._stop = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stopped, selectors.EVENT_READ)
        if announcer.notify is not None:
            self._selector.register(announcer.notify, selectors.EVENT_READ)

    def run(self) -> None:
        """Announce when it is due."""
        with self._selector, self._stopped:
            while True:
                wait = max(0.0, self._due - time.monotonic())
                ready = {key.fileobj for key, _ in self._selector.select(wait)}
                if self._stopped in ready:
                    return
                if self._announcer.notify in ready and self._announcer.notify is not None:
                    self._announcer.notify.read()
                if time.monotonic() >= self._due:
                    self._announcer.resolve()
                    well = self._announcer.announce()
                    self._due = time.monotonic() + self._schedule.after(well=well)

    def stop(self) -> None:
        """Let it end; do not wait for that, because looking up a name can take long."""
        self._stop.close()

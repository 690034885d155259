"""Subscriber for programs: ``with subscribe(...)`` and ``async with subscribe(...)``."""

import asyncio
import os
import threading
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from uwsgi_router.subscriptions.client.announcement import (
    Algorithm,
    Announcement,
    Modifier,
    announcement,
)
from uwsgi_router.subscriptions.client.announcer import Announcer
from uwsgi_router.subscriptions.client.background import AnnouncingThread
from uwsgi_router.subscriptions.client.control import control_path
from uwsgi_router.subscriptions.client.drain import Drain
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.notify import notify_socket
from uwsgi_router.subscriptions.client.schedule import INTERVAL, Schedule
from uwsgi_router.subscriptions.client.threads import in_thread

# A datagram can get lost: who leaves says so again after this many seconds, if it stays that long.
_AGAIN: Final = 1.0


class Subscriber:
    """Subscriber: keeps a node announced from inside its program; a context manager of both kinds.

    Entering announces, and a daemon thread goes on announcing. Leaving unsubscribes at once and, unless an exception is
    passing, returns ``drain_delay`` seconds later: the program should serve for so long, for requests were sent to it
    before. With ``control`` it returns as soon as the router says that they have ended, ``drain`` seconds later at
    most.

    Args:
        announcements: what to announce.
        interval: seconds between announces, above 0.
        drain_delay: seconds, 0 or more.
        notify: a path where routers may answer; None: one is made if a server is on this machine.
        drain: seconds, 0 or more; not less than ``drain_delay`` counts.
        control: the router's control socket; None: what UWSGI_ROUTER_CONTROL in the environment names, if anything.

    Raises:
        SubscribeError: when entered, if an address can't be reached or nothing can be signed.
    """

    def __init__(
        self,
        announcements: Sequence[Announcement],
        *,
        interval: float = INTERVAL,
        drain_delay: float = 5.0,
        notify: str | None = None,
        drain: float = 8.0,
        control: str | None = None,
    ) -> None:
        if not interval > 0:
            raise SubscribeError(f"interval {interval}: it must be above 0")
        if not drain_delay >= 0:
            raise SubscribeError(f"drain_delay {drain_delay}: it must not be below 0")
        self._announcements = tuple(announcements)
        self._interval = interval
        if not drain >= 0:
            raise SubscribeError(f"drain {drain}: it must not be below 0")
        path = control_path(control, os.environ)
        self._drain = Drain(max(drain, drain_delay), drain_delay, path)
        self._notify = notify
        self._announcer: Announcer | None = None
        self._thread: AnnouncingThread | None = None

    def __repr__(self) -> str:
        nodes = ", ".join(f"{a.key or a.key_file} => {a.address}" for a in self.announcements)
        return f"<Subscriber {nodes} {'announcing' if self._announcer else 'idle'}>"

    @property
    def announcements(self) -> tuple[Announcement, ...]:
        """Announcements; ``auto`` addresses are known as soon as it is entered."""
        return self._announcer.announcements if self._announcer else self._announcements

    # Plain

    def __enter__(self) -> Self:
        announcer = self._opened()
        try:
            announcer.resolve()
            self._begin(announcer)
        except BaseException:
            announcer.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        announcer = self._withdrawn()
        try:
            if kind is None:
                again = threading.Timer(_AGAIN, announcer.leave)
                again.daemon = True
                again.start()
                try:
                    self._drain.wait(announcer.told)
                finally:
                    again.cancel()
        finally:
            announcer.close()
            self._announcer = None

    # In an event loop

    async def __aenter__(self) -> Self:
        announcer = self._opened()
        try:
            await in_thread(announcer.resolve)
            self._begin(announcer)
        except BaseException:
            announcer.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        announcer = self._withdrawn()
        try:
            if kind is None:
                again = asyncio.get_running_loop().call_later(_AGAIN, announcer.leave)
                try:
                    await in_thread(partial(self._drain.wait, announcer.told))
                finally:
                    again.cancel()
        finally:
            announcer.close()
            self._announcer = None

    def _begin(self, announcer: Announcer) -> None:
        """Announce, and go on doing so."""
        announcer.settle()
        well = announcer.announce()
        self._announcer = announcer
        self._thread = AnnouncingThread(announcer, Schedule(self._interval), well=well)
        self._thread.start()

    def _withdrawn(self) -> Announcer:
        announcer, thread = self._announcer, self._thread
        assert announcer is not None
        assert thread is not None
        announcer.leave()
        thread.stop()
        return announcer

    def _opened(self) -> Announcer:
        if self._announcer is not None:
            raise RuntimeError("this subscriber is already entered")
        return Announcer(
            self._announcements, notify=notify_socket(self._announcements, self._notify)
        )


def subscribe(
    server: str | None = None,
    *,
    key: str | None = None,
    address: str | int | None = None,
    address_vassal: str | None = None,
    balancing_weight: int | None = None,
    balancing_algo: Algorithm | None = None,
    modifier: Modifier | None = None,
    signing: str | Sequence[str] | None = None,
    check_file: str | None = None,
    protocol: str | None = None,
    sni_cert: str | None = None,
    sni_key: str | None = None,
    sni_client_ca: str | None = None,
    interval: float = INTERVAL,
    drain_delay: float = 5.0,
    notify: str | None = None,
    drain: float = 8.0,
    control: str | None = None,
) -> Subscriber:
    """Announce this program to a router for as long as a ``with`` or ``async with`` block lasts.

    All names but the last five, and their meaning, are those of uwsgiconf's ``section.subscriptions.subscribe``; see
    :func:`uwsgi_router.subscriptions.client.announcement.announcement`. The last five are those of :class:`Subscriber`.

    Raises:
        SubscribeError: with what is wrong.
    """
    announced = announcement(
        server,
        key=key,
        address=address,
        address_vassal=address_vassal,
        balancing_weight=balancing_weight,
        balancing_algo=balancing_algo,
        modifier=modifier,
        signing=signing,
        check_file=check_file,
        protocol=protocol,
        sni_cert=sni_cert,
        sni_key=sni_key,
        sni_client_ca=sni_client_ca,
    )
    return Subscriber(
        (announced,),
        interval=interval,
        drain_delay=drain_delay,
        notify=notify,
        drain=drain,
        control=control,
    )

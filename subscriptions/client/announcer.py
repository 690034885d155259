"""Rounds of announces: makes and sends the datagrams. It never waits, but for names that are looked up."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from uwsgi_router.protocol.subscription import Command
from uwsgi_router.subscriptions.client.address import (
    is_auto,
    needs_shared_file,
    settle,
    unreachable,
)
from uwsgi_router.subscriptions.client.announcement import Announcement
from uwsgi_router.subscriptions.client.drain import Withdrawn
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.notify import NotifySocket
from uwsgi_router.subscriptions.client.servers import Server, ServerAddress, Sockets

log = logging.getLogger("subscriptions.client")

#: Seconds after which a router believes no announce any more: nobody need be withdrawn there.
_FORGOTTEN: Final = 120.0
_FAMILIES: Final = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)

#: An announcement with one of its keys, and that key's modifier1.
Entry = tuple[Announcement, str, int]


class Announcer:
    """Tells all servers of a node.

    Only :meth:`resolve` may block. The methods may be called from different threads.

    Args:
        announcements: at least one.
        notify: where routers may answer.
        unix_time: the time of day in seconds since the epoch, for signatures.
        clock: seconds that don't jump.
    """

    def __init__(
        self,
        announcements: Sequence[Announcement],
        *,
        notify: NotifySocket | None = None,
        # Signed packets carry the time of day: the router compares it with its own.
        unix_time: Callable[[], float] = time.time,  # noqa: TID251
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.announcements = tuple(announcements)
        self.notify = notify
        self._unix_time = unix_time
        self._clock = clock
        self._lock = threading.Lock()
        self._sockets = Sockets()
        self._targets: dict[Server, tuple[ServerAddress, ...]] = {}
        self._keys: dict[Announcement, list[tuple[str, int]]] = {}
        self._told: dict[tuple[Entry, ServerAddress], float] = {}
        self._troubles: dict[str, str] = {}
        self._unix = 0
        self._left = False

    def resolve(self) -> bool:
        """Look up all servers; where there is no new answer the old one stays.

        Returns:
            True if every server has an address.
        """
        for server in dict.fromkeys(a.server for a in self.announcements):
            try:
                self._targets[server] = server.resolve()
            except OSError as exc:
                self._trouble(
                    f"server {server}", f"{exc.strerror or exc}; it is looked up again and again"
                )
            else:
                self._well(f"server {server}")
        return all(a.server in self._targets for a in self.announcements)

    @property
    def found(self) -> bool:
        """True if any server has an address."""
        return bool(self._targets)

    def settle(self) -> None:
        """Find addresses that are ``auto``, and check what can be checked here: reach and signatures.

        Raises:
            SubscribeError: if an address can't be reached, or nothing can be signed.
        """
        self.announcements = tuple(map(self._settled, self.announcements))

    def _settled(self, announcement: Announcement) -> Announcement:
        if announcement.signer is not None:
            announcement.signer.sign(b"trial")
        targets = self._targets.get(announcement.server)
        if targets is None:
            return announcement
        settled = replace(announcement, address=settle(announcement.address, targets))
        reasons = [unreachable(settled.address, target) for target in targets]
        if reasons and all(reasons):
            raise SubscribeError(str(reasons[0]))
        if any(needs_shared_file(settled.address, target) for target in targets):
            self._trouble(
                f"announcing {settled.address} to {settled.server}",
                "the router is another machine or container; it must have the same socket at this path",
            )
        return settled

    def announce(self) -> bool:
        """Send one round: announce what is wanted, withdraw what no longer is.

        Returns:
            False if somebody could not be told: better try again soon.
        """
        with self._lock:
            if self._left:
                return True
            self.announcements = tuple(map(self._found, self.announcements))
            wanted = [entry for a in self.announcements for entry in self._wanted(a)]
            self._withdraw(lambda entry: entry not in wanted)
            now = self._clock()
            self._told = {told: at for told, at in self._told.items() if now - at < _FORGOTTEN}
            nodes = {entry: self._reachable(entry[0]) for entry in wanted}
            told_all = self._send("subscribe", nodes)
            self._told.update(
                {(e, target): now for e, targets in nodes.items() for target in targets}
            )
            self._sockets.keep(target for _, target in self._told)
            return told_all and all(a.server in self._targets for a in self.announcements)

    def leave(self) -> bool:
        """Withdraw everything wherever it was announced; from then on nothing is announced. May be repeated.

        Returns:
            True if there was something.
        """
        with self._lock:
            self._left = True
            return self._withdraw(lambda _: True)

    @property
    def told(self) -> Withdrawn:
        """What was announced to whom, and is withdrawn by :meth:`leave`."""
        with self._lock:
            nodes = {(key, announcement.address) for (announcement, key, _), _ in self._told}
            return Withdrawn(sorted(nodes), len({target for _, target in self._told}))

    def close(self) -> None:
        """Close the sockets."""
        with self._lock:
            self._left = True
            self._sockets.close()
            if self.notify is not None:
                self.notify.close()

    # What is to be said

    def _found(self, announcement: Announcement) -> Announcement:
        """Find an ``auto`` address that could not be found at first: the server's name had no address."""
        targets = self._targets.get(announcement.server)
        if not targets or not is_auto(announcement.address):
            return announcement
        try:
            return replace(announcement, address=settle(announcement.address, targets))
        except SubscribeError as exc:
            self._trouble(f"announcing to {announcement.server}", str(exc))
            return announcement

    def _wanted(self, announcement: Announcement) -> list[Entry]:
        if is_auto(announcement.address):
            return []
        try:
            keys = announcement.wanted()
        except (OSError, SubscribeError) as exc:
            # Perhaps it is just being written: what was read last stays.
            self._trouble(f"the keys in {announcement.key_file}", str(exc))
            keys = self._keys.get(announcement, [])
        else:
            self._well(f"the keys in {announcement.key_file}")
            if announcement.check_file is not None:
                self._checked(announcement.check_file, there=bool(keys))
        self._keys[announcement] = keys
        return [(announcement, key, modifier1) for key, modifier1 in keys]

    def _checked(self, file: str, *, there: bool) -> None:
        if there:
            self._well(f"the check file {file}")
        else:
            self._trouble(f"the check file {file}", "it is not there, so nothing is announced")

    def _reachable(self, announcement: Announcement) -> list[ServerAddress]:
        reachable = []
        for target in self._targets.get(announcement.server, ()):
            reason = unreachable(announcement.address, target)
            if reason is None:
                reachable.append(target)
            else:
                self._trouble(f"{announcement.address} for {target}", reason)
        return reachable

    def _withdraw(self, condition: Callable[[Entry], bool]) -> bool:
        nodes: dict[Entry, list[ServerAddress]] = {}
        for entry, target in self._told:
            if condition(entry):
                nodes.setdefault(entry, []).append(target)
        self._send("unsubscribe", nodes)
        if not self._left:
            self._told = {
                (entry, target): at
                for (entry, target), at in self._told.items()
                if entry not in nodes
            }
        return bool(nodes)

    # Saying it

    def _send(self, command: Command, nodes: Mapping[Entry, Iterable[ServerAddress]]) -> bool:
        """Send a datagram for each entry to each of its targets; return True if all went well.

        IPv4 and IPv6 may lead to the same router, which takes no signature's time twice: so each family has its own.
        """
        outcomes: dict[Server, list[OSError | None]] = {}
        well = True
        for family in _FAMILIES:
            part = {
                entry: [target for target in targets if target.family == family]
                for entry, targets in nodes.items()
            }
            if not any(part.values()):
                continue
            self._unix = max(int(self._unix_time()), self._unix + 1)
            for (announcement, key, modifier1), targets in part.items():
                try:
                    datagram = announcement.datagram(
                        command, key, modifier1, self._notify(announcement), unix=self._unix
                    )
                except SubscribeError as exc:
                    self._trouble(f"key {key[:80]}", f"not announced: {exc}")
                    well = False
                    continue
                self._well(f"key {key[:80]}")
                tried = [self._sockets.send(target, datagram) for target in targets]
                outcomes.setdefault(announcement.server, []).extend(tried)
        for server, tried in outcomes.items():
            well = self._reported(server, tried) and well
        return well

    def _notify(self, announcement: Announcement) -> bytes | None:
        if self.notify is None or not (self.notify.asked_for or announcement.server.is_local):
            return None
        return self.notify.path

    def _reported(self, server: Server, outcomes: Sequence[OSError | None]) -> bool:
        """Tell if nobody of a server's machines heard anything; return False then."""
        failed = [exc for exc in outcomes if exc is not None]
        if len(failed) < len(outcomes) or not failed:
            self._well(f"announcing to {server}")
            return True
        exc = failed[0]
        reason = {
            ConnectionRefusedError: "nobody listens there",
            FileNotFoundError: "there is no such socket",
            BlockingIOError: "its queue is full",
        }.get(type(exc), exc.strerror or str(exc))
        self._trouble(f"announcing to {server}", reason)
        return False

    def _trouble(self, subject: str, reason: str) -> None:
        """Say what is wrong, once for as long as it stays the same."""
        if self._troubles.get(subject) != reason:
            self._troubles[subject] = reason
            log.warning("%s: %s", subject, reason)

    def _well(self, subject: str) -> None:
        if self._troubles.pop(subject, None) is not None:
            log.info("%s: all is well again", subject)

"""Keys that wake vassals: routers beside the Emperor see which there are, and say which one a request waits for."""

import logging
import os
import shutil
import socket
from typing import Final

from uwsgi_router.protocol.emperor import ON_DEMAND, WANTED, file_name_of
from uwsgi_router.protocol.key import key_forms
from uwsgi_router.router.emperor.government import Government
from uwsgi_router.router.emperor.kinds import keys_of
from uwsgi_router.router.emperor.machine import DYING, VassalEvent, VassalState
from uwsgi_router.router.emperor.vassal_file import VassalFile
from uwsgi_router.router.supervision.loop import SelectorLoop

log = logging.getLogger("uwsgi-router.emperor")

_LARGEST: Final = 4096
# Keys that are read at once, so that a flood keeps nobody else waiting.
_AT_ONCE: Final = 256
# Seconds between two looks at a vassal that is about to sleep, and how often it is looked at.
_AGAIN: Final = 0.2
_TIMES: Final = 150


class WantedKeys:
    """Keys of on-demand vassals.

    Args:
        loop: waits.
        directory: that routers and Emperor share.

    Raises:
        OSError: nothing can be made there.
    """

    def __init__(self, loop: SelectorLoop, directory: str) -> None:
        self._loop = loop
        self._files = os.path.join(directory, ON_DEMAND)
        # An Emperor that has died has left its own.
        shutil.rmtree(self._files, ignore_errors=True)
        os.mkdir(self._files, 0o711)
        path = os.path.join(directory, WANTED)
        if os.path.exists(path):
            os.unlink(path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(path)
        # Routers may run as another user; only they and vassals know the directory.
        os.chmod(path, 0o666)  # noqa: S103
        self._sock.setblocking(False)
        self._government: Government | None = None
        self._seen: dict[str, VassalFile] = {}
        self._keys: dict[str, frozenset[bytes]] = {}
        self._owners: dict[bytes, str] = {}
        self._waiting: set[str] = set()

    def own(self, uid: int, gid: int) -> None:
        """Let another user make and remove the files; -1: not another one."""
        os.chown(self._files, uid, gid)

    def begin(self, government: Government) -> None:
        """Wake vassals of an Emperor."""
        self._government = government
        self._loop.add_reader(self._sock.fileno(), self._hear)
        government.on_scanned = self._look

    # --- which keys there are ---

    def _look(self) -> None:
        """Make the files agree with the vassals."""
        assert self._government is not None
        vassals = self._government.vassals
        for name in [one for one in self._keys if one not in vassals]:
            self._replace(name, frozenset())
            del self._keys[name], self._seen[name]
        for name, vassal in vassals.items():
            if vassal.on_demand is None or self._seen.get(name) == vassal.file:
                continue
            self._seen[name] = vassal.file
            self._replace(name, self._keys_of(vassal.file))

    def _keys_of(self, file: VassalFile) -> frozenset[bytes]:
        """Return the keys of a vassal; none if its file can't be read."""
        assert self._government is not None
        try:
            return keys_of(file, self._government.config, self._government.environ)
        except Exception:
            # As in Government.launch.
            log.exception("a bug while reading the keys of %s", file.path)
            return frozenset()

    def _replace(self, name: str, keys: frozenset[bytes]) -> None:
        before = self._keys.get(name, frozenset())
        self._keys[name] = keys
        for key in before - keys:
            if self._owners.get(key) == name:
                del self._owners[key]
                self._remove(key)
        for key in sorted(keys - before):
            other = self._owners.setdefault(key, name)
            if other != name:
                text = "%s has the key %r, and so has %s, which requests for it start"
                log.warning(text, name, key, other)
                continue
            self._make(key)

    def _make(self, key: bytes) -> None:
        path = os.path.join(self._files, file_name_of(key))
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        except OSError as exc:
            log.error("%s: %s: requests do not start its vassal", path, exc.strerror)  # noqa: TRY400

    def _remove(self, key: bytes) -> None:
        try:
            os.unlink(os.path.join(self._files, file_name_of(key)))
        except OSError:
            pass

    # --- which one is wanted ---

    def _hear(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                key = self._sock.recv(_LARGEST)
            except OSError:
                return
            name = next((self._owners[one] for one in key_forms(key) if one in self._owners), None)
            if name is not None and name not in self._waiting:
                self._wake(name, _TIMES)

    def _wake(self, name: str, times: int) -> None:
        """Start a vassal that sleeps; one that is about to fall asleep is looked at again."""
        assert self._government is not None
        self._waiting.discard(name)
        vassal = self._government.vassals.get(name)
        if vassal is None:
            return
        state = vassal.machine.state
        if state is VassalState.ASLEEP:
            log.info("%s: started by a request", name)
            vassal.tell(VassalEvent.DEMAND)
        elif (state in DYING or state is VassalState.WAITING) and times:
            self._waiting.add(name)
            self._loop.call_later(_AGAIN, self._wake, name, times - 1)

    def close(self) -> None:
        """Listen no more."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
